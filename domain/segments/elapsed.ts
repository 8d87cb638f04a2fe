// How many days ago the first or last event was, to the millisecond, and the exact instants at which it passes a threshold.
// Pure.
import { compareQuotient, type Decimal, decimal, floorOf, holdsFor, quotientText } from './decimals.ts'
import type { Facts, Occurrence } from './facts.ts'
import type { ElapsedLeaf } from './plan.ts'
import { isInRange, type Range } from './ranges.ts'
import { NEVER, type Timed } from './timed.ts'
import { firstAfter } from './windows.ts'

const DAY_MS = 86_400_000
/** What JavaScript and Postgres can write: beyond it is as good as never. */
const LAST_MS = 8.64e15

export function evaluateElapsed(leaf: ElapsedLeaf, facts: Facts, atMs: number): Timed {
  const threshold = decimal(leaf.value)
  return untilElapsed(leaf, facts, atMs, [threshold], (compare) => holdsFor(compare(threshold), leaf.op))
}

/** Whether it lies in a range, of which nobody without an event is. */
export function evaluateElapsedInRange(leaf: ElapsedLeaf, range: Range, facts: Facts, atMs: number): Timed {
  const thresholds = [range.from, range.below].filter((one) => one !== undefined)
  return untilElapsed(leaf, facts, atMs, thresholds, (compare) => isInRange(range, compare))
}

/** What `holdsOf` says of the days, which it compares with no others than `thresholds`; false where there is no event yet. */
function untilElapsed(
  leaf: Pick<ElapsedLeaf, 'input' | 'pick'>,
  facts: Facts,
  atMs: number,
  thresholds: Decimal[],
  holdsOf: (compare: (threshold: Decimal) => number) => boolean,
): Timed {
  const events = facts.inputs[leaf.input] ?? []
  const holdsAt = (at: number) => {
    const time = eventAt(leaf, events, at)?.time
    return time !== undefined && holdsOf((threshold) => compareQuotient(at - time, DAY_MS, threshold))
  }
  const holds = holdsAt(atMs)
  const begins = leaf.pick === 'first' ? 0 : Math.max(0, firstAfter(events, atMs) - 1)
  const asked = leaf.pick === 'first' ? events.slice(0, 1) : events.slice(begins)
  // A number of days is reached at its millisecond, or the next one where it lies between two, and passed one later.
  const reached = thresholds.map((threshold) => floorOf(threshold, DAY_MS))
  const changes = asked.flatMap(({ time }) => [time, ...reached.flatMap((ms) => [time + ms, time + ms + 1])])
  const later = changes.filter((at) => at > atMs && at <= LAST_MS).sort((a, b) => a - b)
  return { holds, until: later.find((at) => holdsAt(at) !== holds) ?? NEVER }
}

/** The days as decimal text, and the events up to then; undefined where there is none yet. */
export function elapsedAt(
  leaf: ElapsedLeaf,
  facts: Facts,
  atMs: number,
): { days: string | undefined; events: Occurrence[] } {
  const all = facts.inputs[leaf.input] ?? []
  const event = eventAt(leaf, all, atMs)
  const days = event === undefined ? undefined : quotientText(atMs - event.time, DAY_MS)
  return { days, events: all.slice(0, firstAfter(all, atMs)) }
}

function eventAt(
  { pick }: Pick<ElapsedLeaf, 'pick'>,
  events: Occurrence[],
  at: number,
): Occurrence | undefined {
  const event = events[pick === 'first' ? 0 : firstAfter(events, at) - 1]
  return event !== undefined && event.time <= at ? event : undefined
}
