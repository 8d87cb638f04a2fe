// What a condition found, said against what it wants, in words: for the explanation of a segment. Pure.
import type { Aggregate, Comparison, PropertyFilter, TraitOp } from '../../schema/rule.ts'
import { exponentOf } from '../money.ts'
import type { PlanClock } from './clock.ts'
import { sinceAt } from './dwell.ts'
import type { Facts } from './facts.ts'
import type { AggLeaf, Leaf, MetricLeaf, Plan } from './plan.ts'
import type { PlanWindow } from './plan-windows.ts'
import { spanAt } from './windows.ts'

type Said = { plan: Plan; facts: Facts; atMs: number; holds: boolean; value: unknown }

/** `value` = what was found: domain/segments/explain.ts. */
export function inWords(leaf: Leaf | MetricLeaf, { plan, facts, atMs, holds, value }: Said): string {
  const events = (input: number) => eventsInWords(plan, input)
  const during = (window: PlanWindow, input: number) => {
    const clock = plan.inputs[input]?.clock
    return `${windowInWords(window, plan, facts, atMs)}${clock === undefined ? '' : clockInWords(clock)}`
  }
  switch (leaf.k) {
    case 'trait':
      return `${leaf.path} ${found(value)}; wanted ${conditionInWords(leaf)}`
    case 'dwell': {
      const sinceMs = sinceAt(facts, leaf.path)
      const since = sinceMs === undefined || value === null ? '' : ` since ${instant(sinceMs)}`
      return `${leaf.path} ${found(value)}${since}; wanted ${shown(leaf.value)} for ${leaf.for}`
    }
    case 'date':
      return `${leaf.path} ${found(value)}; wanted ${leaf.op} ${leaf.value}`
    case 'anniversary':
      return `${leaf.path} ${found(value)}; wanted ${daysInWords(leaf.offset ?? 0)} of its return`
    case 'agg': {
      const what = OF_TIMES[leaf.agg] ?? `${leaf.agg} of ${leaf.prop || 'revenue'}`
      const [is, wanted] = [amount(leaf, value), amount(leaf, leaf.value)]
      const where = `${events(leaf.input)} ${during(leaf.window, leaf.input)}`
      return `${what} of ${where} is ${is}; wanted ${COMPARED[leaf.op]} ${wanted}`
    }
    case 'computed':
      return `metric ${leaf.metric}: ${inWords(leaf.of, { plan, facts, atMs, holds, value })}`
    case 'quantile':
      return `metric ${leaf.metric} ${found(value)}; wanted ${leaf.from ?? 'any value'} up to and without ${leaf.below ?? 'any end'}`
    case 'elapsed':
      return `days since the ${leaf.pick} ${events(leaf.input)} ${found(value)}; wanted ${COMPARED[leaf.op]} ${leaf.value}`
    case 'consent': {
      const what = 'channel' in leaf ? `${leaf.channel} is` : `consent to ${leaf.category} is`
      return `${what} ${value}; wanted ${leaf.state}`
    }
    case 'message': {
      const on = leaf.channel === undefined ? '' : ` by ${leaf.channel}`
      const of = leaf.campaign === undefined ? '' : ` of the campaign ${leaf.campaign}`
      const where = during(leaf.window, leaf.inputs[0] ?? -1)
      return `${value} messages ${leaf.did}${on}${of} ${where}; wanted ${COMPARED[leaf.op]} ${leaf.value}`
    }
    case 'pick':
      return `${leaf.prop} of the ${leaf.pick} ${events(leaf.input)} ${during(leaf.window, leaf.input)} ${found(value)}; wanted ${conditionInWords(leaf)}`
    case 'time': {
      const last = typeof value === 'string' ? `was at ${value}` : 'was never'
      return `the ${leaf.pick} ${events(leaf.input)} ${last}; wanted ${leaf.op === 'within' ? 'less than' : 'at least'} ${lengthInWords(leaf.agoMs)} ago`
    }
    case 'absence':
      return `${value} of ${events(leaf.input)} ${during(leaf.window, leaf.input)}; wanted none`
    case 'seq': {
      const [first, ...others] = leaf.steps
      const input = first?.input ?? -1
      const steps = others.map((step) => `, then ${events(step.input)}`).join('')
      const none = leaf.none === undefined ? '' : `, then no ${events(leaf.none.input)}`
      return `${value} of ${events(input)} ${during(leaf.window, input)}; wanted at least ${leaf.min}${steps}${none}`
    }
    case 'sample':
      return `place ${value} of 0 to 9999; wanted ${leaf.from} to ${leaf.to}`
    case 'segment':
      return `${holds ? '' : 'not '}in the segment ${leaf.segment}`
    case 'list':
      return `${holds ? '' : 'not '}on the list ${leaf.list}`
    default:
      return `${leaf.k} found ${shown(value)}`
  }
}

const OF_TIMES: Partial<Record<Aggregate, string>> = {
  count: 'count',
  days: 'different days',
  span: 'days from the first to the last',
}

const COMPARED: Record<Comparison, string> = {
  gt: 'more than',
  gte: 'at least',
  lt: 'less than',
  lte: 'at most',
  eq: 'exactly',
  ne: 'anything but',
}

/** Those that do not read as they are called. */
const OPERATORS: Partial<Record<TraitOp, string>> = {
  ...COMPARED,
  exists: 'any value',
  missing: 'none',
  startsWith: 'starts with',
  endsWith: 'ends with',
  in: 'one of',
  anyOf: 'any of',
  allOf: 'all of',
  noneOf: 'none of',
}

function conditionInWords({ op, value }: Omit<PropertyFilter, 'prop'>): string {
  return `${OPERATORS[op] ?? op}${value === undefined ? '' : ` ${shown(value)}`}`
}

function found(value: unknown): string {
  return value === null || value === undefined ? 'is missing' : `is ${shown(value)}`
}

const SHOWN_CHARACTERS = 100

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS).toWellFormed()}…` : text
}

/** Of revenue in the major unit, as people write it. */
function amount({ currency, agg }: AggLeaf, value: unknown): string {
  if (value === null || value === undefined) return 'nothing'
  if (currency === '' || agg === 'distinct') return String(value)
  const digits = exponentOf(currency)
  return `${(Number(value) / 10 ** digits).toFixed(digits)} ${currency}`
}

function eventsInWords(plan: Plan, input: number): string {
  const { type = 'track', event = '', where = [] } = plan.inputs[input] ?? {}
  const name = event === '' ? `${type} calls` : type === 'track' ? `"${event}"` : `${type} "${event}"`
  const filters = where.map(({ prop, ...condition }) => `${prop} ${conditionInWords(condition)}`)
  return filters.length === 0 ? name : `${name} (${filters.join(', ')})`
}

function windowInWords(window: PlanWindow, plan: Plan, facts: Facts, atMs: number): string {
  switch (window.k) {
    case 'rolling':
      return `in the last ${lengthInWords(window.lastMs)}`
    case 'between':
      return `from ${lengthInWords(window.fromMs)} to ${lengthInWords(window.toMs)} ago`
    case 'absolute':
      return `after ${instant(window.afterMs)} up to ${instant(window.upToMs)}`
    case 'lifetime':
      return 'ever'
    case 'calendar': {
      const { after, upTo } = spanAt(window, atMs, facts)
      return `from ${instant(after + 1)} to ${instant(upTo)}`
    }
    case 'since': {
      const { after, upTo } = spanAt(window, atMs, facts)
      const anchor = `the ${window.pick} ${eventsInWords(plan, window.input)}`
      return after === upTo ? `since ${anchor}, which was never` : `since ${anchor} at ${instant(after)}`
    }
  }
}

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']

function clockInWords({ days, fromMinute, toMinute, tz }: PlanClock): string {
  const on = days.length === DAYS.length ? '' : ` on ${days.map((day) => DAYS[day]).join(', ')}`
  const hours = toMinute - fromMinute === 24 * 60 ? '' : ` from ${time(fromMinute)} to ${time(toMinute)}`
  const zone = typeof tz === 'object' ? `the zone of ${tz.trait}` : (tz ?? 'UTC')
  return `,${on}${hours} in ${zone},`
}

function time(minute: number): string {
  return `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`
}

function daysInWords(offset: number): string {
  if (offset === 0) return 'the day'
  const days = Math.abs(offset)
  return `${days} ${days === 1 ? 'day' : 'days'} ${offset < 0 ? 'before the day' : 'after the day'}`
}

const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1000],
] as const

function lengthInWords(ms: number): string {
  const parts: string[] = []
  let rest = ms
  for (const [unit, length] of UNITS) {
    const count = Math.floor(rest / length)
    rest -= count * length
    if (count > 0) parts.push(`${count} ${unit}${count === 1 ? '' : 's'}`)
  }
  return parts.join(' ')
}

/** Instants beyond what JavaScript can write are as good as never. */
function instant(ms: number): string {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : 'never'
}
