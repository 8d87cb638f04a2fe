// How many of everybody fit, told from a part of them: buckets are a random part, as they follow from a hash. Pure.

export type Estimate = { members: number; low: number; high: number }

/** Two-sided 95 %. */
const Z = 1.96

/**
 * `found` members in a `share` (above 0) of all buckets. Each member of M is in that part by chance, so what is found is
 * binomial with mean M × share; the interval has those M whose mean is within Z standard deviations of it (Wilson's score
 * interval, 1927), which holds for none found too.
 */
export function estimateSize({ found, share }: { found: number; share: number }): Estimate {
  if (share >= 1) return { members: found, low: found, high: found }
  const spread = Z ** 2 * (1 - share)
  const middle = 2 * found + spread
  const width = Math.sqrt(middle ** 2 - 4 * found ** 2)
  return {
    members: Math.round(found / share),
    // Those that were found are there.
    low: Math.max(found, Math.floor((middle - width) / (2 * share))),
    high: Math.max(found, Math.ceil((middle + width) / (2 * share))),
  }
}
