// Counts and whole amounts over a rolling window, of somebody of whom nothing is dated ahead: what nearly every condition of
// nearly every rule is. Plain loops over plain numbers, as every pass runs them for every rule; whatever they cannot say
// exactly is left to aggregates.ts, and the tests hold both against the same plain meaning. Pure.
import type { Comparison } from '../../schema/rule.ts'
import { amountOf } from './amounts.ts'
import { holdsFor } from './decimals.ts'
import type { Occurrence } from './facts.ts'
import type { AggLeaf } from './plan.ts'
import { NEVER, type Timed } from './timed.ts'
import { firstAfter } from './windows.ts'

/** Undefined where it has to be reckoned in another way. */
export function evaluateRolling(
  leaf: AggLeaf,
  lastMs: number,
  events: Occurrence[],
  atMs: number,
): Timed | undefined {
  if (leaf.agg !== 'count' && leaf.agg !== 'sum') return undefined
  const threshold = Number(leaf.value)
  const end = events.length
  if (!Number.isSafeInteger(threshold) || (events[end - 1]?.time ?? atMs) > atMs) return undefined
  const from = firstAfter(events, atMs - lastMs)
  const isCount = leaf.agg === 'count'
  let value = isCount ? end - from : 0
  for (let i = from; !isCount && i < end; i++) {
    value += wholeOf(leaf, events[i])
    if (!Number.isSafeInteger(value)) return undefined
  }
  const holds = holdsFor(value - threshold, leaf.op)
  // A count does not grow by what leaves.
  if (isCount && isKept(leaf.op, holds)) return { holds, until: NEVER }
  for (let i = from; i < end; ) {
    const time = events[i]?.time ?? NEVER
    for (; i < end && events[i]?.time === time; i++) value -= isCount ? 1 : wholeOf(leaf, events[i])
    if (!Number.isSafeInteger(value)) return undefined
    if (holdsFor(value - threshold, leaf.op) !== holds) return { holds, until: time + lastMs }
  }
  return { holds, until: NEVER }
}

function isKept(op: Comparison, holds: boolean): boolean {
  return holds ? op === 'lt' || op === 'lte' : op === 'gt' || op === 'gte'
}

/** NaN for what is no whole number: the sum is not safe then. */
function wholeOf(leaf: AggLeaf, event: Occurrence | undefined): number {
  const value = event === undefined ? 0 : (amountOf(leaf, event) ?? 0)
  return Number.isSafeInteger(value) ? value : Number.NaN
}
