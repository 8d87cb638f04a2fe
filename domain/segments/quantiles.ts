// Quantiles of metrics: whether somebody's value lies between two cut points, and where those are. A cut point stays what it is
// until the next version of them, so that a quantile is an ordinary comparison in between. Pure.
import { aggregateAt, evaluateInRange } from './aggregates.ts'
import { decimal } from './decimals.ts'
import { elapsedAt, evaluateElapsedInRange } from './elapsed.ts'
import type { Facts } from './facts.ts'
import type { MetricLeaf, QuantileLeaf } from './plan.ts'
import { constant, type Timed } from './timed.ts'

export function evaluateQuantile({ of, from, below }: QuantileLeaf, facts: Facts, atMs: number): Timed {
  const range = {
    ...(from === undefined ? {} : { from: decimal(from) }),
    ...(below === undefined ? {} : { below: decimal(below) }),
  }
  switch (of.k) {
    case 'agg':
      return evaluateInRange(of, range, facts, atMs)
    case 'elapsed':
      return evaluateElapsedInRange(of, range, facts, atMs)
    case 'pick':
      return constant(false)
  }
}

/** What people are ordered by, as plans compare it; undefined = none: without events also what counts as 0 elsewhere. */
export function orderedValue(leaf: MetricLeaf, facts: Facts, atMs: number): number | undefined {
  switch (leaf.k) {
    case 'agg': {
      const { value, isEmpty } = aggregateAt(leaf, facts, atMs)
      return value === undefined || isEmpty ? undefined : Number(value)
    }
    case 'elapsed': {
      const { days } = elapsedAt(leaf, facts, atMs)
      return days === undefined ? undefined : Number(days)
    }
    case 'pick':
      return undefined
  }
}

export const CUTS = 99

/**
 * The 99 points of values that are ascending and not empty: below point i (from 1) lie at most i hundredths of them, and
 * equal values lie on one side. As decimals that are no larger than the value they stand for.
 */
export function cutPoints(values: Float64Array): string[] {
  return Array.from({ length: CUTS }, (_, i) => {
    const value = values[Math.floor((values.length * (i + 1)) / (CUTS + 1))]
    if (value === undefined) throw new Error('cut points are of at least one value')
    return roundedDown(value)
  })
}

const DIGITS = 6

/** A third has no last digit, and its nearest number may lie above it: whoever has that value must not fall below it. */
function roundedDown(value: number): string {
  const text = value.toFixed(DIGITS)
  const down = Number(text) > value ? (Number(text) - 10 ** -DIGITS).toFixed(DIGITS) : text
  return down.replace(/\.?0+$/, '')
}

/** As a part of everybody: what people would hardly notice, and everybody would be evaluated for. */
const DRIFT = 0.005

/** Whether more than half a percent of `values`, which are ascending, lie between an old point and the new one. */
export function haveMoved(
  before: readonly string[],
  after: readonly string[],
  values: Float64Array,
): boolean {
  return after.some((point, i) => {
    const [low, high] = [Number(before[i]), Number(point)].sort((a, b) => a - b)
    const between = firstFrom(values, high ?? 0) - firstFrom(values, low ?? 0)
    return between > DRIFT * values.length
  })
}

/** Index of the first value that is not below `from`. */
function firstFrom(values: Float64Array, from: number): number {
  let low = 0
  let high = values.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((values[middle] ?? 0) < from) low = middle + 1
    else high = middle
  }
  return low
}
