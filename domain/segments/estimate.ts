// How many of everybody fit, told from a part of them: buckets are a random part, as they follow from a hash. Pure.

export type Estimate = { members: number; low: number; high: number }

/** Two-sided 95 %. */
const Z = 1.96

/**
 * `found` members in a `share` (above 0) of all buckets. Each member of M is in that part by chance, so what is found is
 * binomial with mean M × share; the interval has those M whose mean is within Z standard deviations of it (Wilson's score
 * interval, 1927), which holds for none found too. Counts are whole numbers: half of one is added on either side (Newcombe,
 * 1998), without which few found are within it less often than it says, 88 times of 100 instead of 95.
 */
export function estimateSize({ found, share }: { found: number; share: number }): Estimate {
  if (share >= 1) return { members: found, low: found, high: found }
  const spread = Z ** 2 * (1 - share)
  const bound = (count: number, side: -1 | 1) => {
    const middle = 2 * count + spread
    return (middle + side * Math.sqrt(middle ** 2 - 4 * count ** 2)) / (2 * share)
  }
  return {
    members: Math.round(found / share),
    // Those that were found are there.
    low: Math.max(found, Math.floor(bound(Math.max(0, found - 0.5), -1))),
    high: Math.max(found, Math.ceil(bound(found + 0.5, 1))),
  }
}
