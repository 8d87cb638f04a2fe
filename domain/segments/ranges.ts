// A range of a metric's values, between two of its cut points: what a quantile is between two versions of these. Pure.
import type { Decimal } from './decimals.ts'

/** From the one on and below the other; absent = without an end. */
export type Range = { from?: Decimal; below?: Decimal }

/** `compare` = sign of the value minus a threshold; undefined where it has no value. */
export function isInRange(
  { from, below }: Range,
  compare: (threshold: Decimal) => number | undefined,
): boolean {
  const isFrom = from === undefined || (compare(from) ?? -1) >= 0
  return isFrom && (below === undefined || (compare(below) ?? 1) < 0)
}
