// Fixed durations: ISO 8601 with weeks, days, hours, minutes, seconds. Months and years have no fixed length and are refused.

const DURATION = /^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/
const MAX_MS = 3660 * 86_400_000

/** Milliseconds of a duration, or undefined when it is not one, is zero, or is longer than ten years. */
export function parseDuration(text: string): number | undefined {
  const match = DURATION.exec(text)
  if (match === null || text === 'P' || text.endsWith('T')) return undefined
  const [weeks, days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0))
  const ms =
    ((((weeks ?? 0) * 7 + (days ?? 0)) * 24 + (hours ?? 0)) * 60 + (minutes ?? 0)) * 60_000 +
    (seconds ?? 0) * 1000
  return ms > 0 && ms <= MAX_MS ? ms : undefined
}
