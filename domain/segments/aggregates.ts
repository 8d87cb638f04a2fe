// Counts and amounts of a person's events in a window, exactly, and the exact instant at which time alone changes what
// they say: the window is moved from event to event until it does. Pure.
import type { Aggregate } from '../../schema/rule.ts'
import { amountOf } from './amounts.ts'
import { localDate } from './calendar.ts'
import { zoneOf } from './clock.ts'
import {
  compareNumber,
  compareQuotient,
  type Decimal,
  decimal,
  holdsFor,
  openTotal,
  quotientText,
} from './decimals.ts'
import type { Facts, Occurrence } from './facts.ts'
import type { AggLeaf } from './plan.ts'
import { isInRange, type Range } from './ranges.ts'
import { evaluateRolling } from './rolling.ts'
import { NEVER, type Timed } from './timed.ts'
import { slide, untilChange } from './windows.ts'

export function evaluateAggregate(leaf: AggLeaf, facts: Facts, atMs: number): Timed {
  const events = facts.inputs[leaf.input] ?? []
  const quick = leaf.window.k === 'rolling' && evaluateRolling(leaf, leaf.window.lastMs, events, atMs)
  if (quick) return quick
  const threshold = decimal(leaf.value)
  const gauge = openGauge(leaf, facts)
  const window = slide(leaf.window, events, facts, atMs, gauge)
  const holdsNow = () => {
    const order = gauge.compare(threshold)
    return order !== undefined && holdsFor(order, leaf.op)
  }
  const holds = holdsNow()
  const onlyLeaves = window.to === events.length
  // A count that is too low does not grow by what leaves.
  const isCount = leaf.agg === 'count' || leaf.agg === 'distinct' || leaf.agg === 'days'
  if (
    onlyLeaves &&
    isCount &&
    (holds ? leaf.op === 'lt' || leaf.op === 'lte' : leaf.op === 'gt' || leaf.op === 'gte')
  )
    return { holds, until: NEVER }
  return untilChange(window, holdsNow)
}

type Gauge = {
  enter(event: Occurrence): void
  leave(event: Occurrence): void
  /** Sign of the aggregate minus the threshold; undefined where it has no value. */
  compare(threshold: Decimal): number | undefined
  /** As decimal text. */
  value(): string | undefined
  /** Nothing is in it: what counts as 0 all the same. */
  isEmpty(): boolean
}

/** Whether it lies in a range, of which nobody without a value is. Exact as the comparison is. */
export function evaluateInRange(leaf: AggLeaf, range: Range, facts: Facts, atMs: number): Timed {
  const gauge = openGauge(leaf, facts)
  const window = slide(leaf.window, facts.inputs[leaf.input] ?? [], facts, atMs, gauge)
  return untilChange(window, () => !gauge.isEmpty() && isInRange(range, gauge.compare))
}

/** What the aggregate is at an instant, and which events are in its window. */
export function aggregateAt(
  leaf: AggLeaf,
  facts: Facts,
  atMs: number,
): { value: string | undefined; isEmpty: boolean; events: Occurrence[] } {
  const events = facts.inputs[leaf.input] ?? []
  const gauge = openGauge(leaf, facts)
  const window = slide(leaf.window, events, facts, atMs, gauge)
  return { value: gauge.value(), isEmpty: gauge.isEmpty(), events: events.slice(window.from, window.to) }
}

function openGauge(leaf: AggLeaf, facts: Facts): Gauge {
  switch (leaf.agg) {
    case 'count':
      return countGauge()
    case 'distinct':
      return distinctGauge(leaf.prop)
    case 'sum':
    case 'avg':
      return totalGauge(leaf, leaf.agg)
    case 'min':
    case 'max':
      return extremeGauge(leaf, leaf.agg)
    case 'days':
      return dayGauge(zoneOf(leaf.tz, facts))
    case 'span':
      return spanGauge()
  }
}

function countGauge(): Gauge {
  let count = 0
  return {
    enter: () => {
      count += 1
    },
    leave: () => {
      count -= 1
    },
    compare: (threshold) => compareNumber(count, threshold),
    value: () => String(count),
    isEmpty: () => count === 0,
  }
}

/** Different values of a property, whatever their type; a list or an object is one value. */
function distinctGauge(prop: string): Gauge {
  const counts = new Map<string, number>()
  const change = (event: Occurrence, by: 1 | -1) => {
    const value = event.props[prop]
    if (value === undefined || value === null) return
    const key = JSON.stringify(value)
    const count = (counts.get(key) ?? 0) + by
    if (count === 0) counts.delete(key)
    else counts.set(key, count)
  }
  return {
    enter: (event) => change(event, 1),
    leave: (event) => change(event, -1),
    compare: (threshold) => compareNumber(counts.size, threshold),
    value: () => String(counts.size),
    isEmpty: () => counts.size === 0,
  }
}

function totalGauge(leaf: AggLeaf, agg: 'sum' | 'avg'): Gauge {
  const total = openTotal()
  let valued = 0
  return {
    enter(event) {
      const value = amountOf(leaf, event)
      if (value === undefined) return
      total.add(value)
      valued += 1
    },
    leave(event) {
      const value = amountOf(leaf, event)
      if (value === undefined) return
      total.remove(value)
      valued -= 1
    },
    compare(threshold) {
      if (agg === 'sum') return total.compare(threshold)
      // sum / n <op> value is sum <op> value × n, without dividing.
      return valued === 0 ? undefined : total.compare(threshold, valued)
    },
    value() {
      if (agg === 'sum') return total.text()
      return valued === 0 ? undefined : total.text(valued)
    },
    isEmpty: () => valued === 0,
  }
}

/** The smallest or largest of what is in the window: those that a later one has not outdone, oldest first. */
function extremeGauge(leaf: AggLeaf, agg: Extract<Aggregate, 'min' | 'max'>): Gauge {
  const sign = agg === 'min' ? 1 : -1
  const queue: { event: Occurrence; value: number }[] = []
  let first = 0
  return {
    enter(event) {
      const value = amountOf(leaf, event)
      if (value === undefined) return
      while (queue.length > first && sign * ((queue.at(-1)?.value ?? 0) - value) > 0) queue.pop()
      queue.push({ event, value })
    },
    leave(event) {
      if (queue[first]?.event === event) first += 1
    },
    compare(threshold) {
      const best = queue[first]
      return best === undefined ? undefined : compareNumber(best.value, threshold)
    },
    value: () => (first < queue.length ? String(queue[first]?.value) : undefined),
    isEmpty: () => first >= queue.length,
  }
}

/** Local days that have an event. They come in order and go in order: a day ends with its last event. */
function dayGauge(zone: string): Gauge {
  const days = new Map<string, number>()
  const change = ({ time }: Occurrence, by: 1 | -1) => {
    const { year, month, day } = localDate(time, zone)
    const key = `${year}-${month}-${day}`
    const count = (days.get(key) ?? 0) + by
    if (count === 0) days.delete(key)
    else days.set(key, count)
  }
  return {
    enter: (event) => change(event, 1),
    leave: (event) => change(event, -1),
    compare: (threshold) => compareNumber(days.size, threshold),
    value: () => String(days.size),
    isEmpty: () => days.size === 0,
  }
}

const DAY_MS = 86_400_000

/** Days from the first to the last event, to the millisecond; of a single one 0, of none nothing. */
function spanGauge(): Gauge {
  const times: number[] = []
  let first = 0
  const span = () => {
    const [from, to] = [times[first], times.at(-1)]
    return from === undefined || to === undefined ? undefined : to - from
  }
  return {
    enter: ({ time }) => {
      times.push(time)
    },
    leave: () => {
      first += 1
    },
    compare(threshold) {
      const ms = span()
      return ms === undefined ? undefined : compareQuotient(ms, DAY_MS, threshold)
    },
    value() {
      const ms = span()
      return ms === undefined ? undefined : quotientText(ms, DAY_MS)
    },
    isEmpty: () => span() === undefined,
  }
}
