// The rules of the segment benchmark, each written down twice from one list of conditions: as a rule of the product, and
// as one would put it by hand into a statement that decides all of them at once. Pure.
import { DEMO_RULE, DEMO_SEGMENT } from '../../demo/setup.ts'

export const EVENTS = [
  'Product Viewed',
  'Product Added',
  'Products Searched',
  'Cart Viewed',
  'Order Completed',
] as const
type EventName = (typeof EVENTS)[number]

/** `sum` is of the revenue, in dollars. All windows are whole days up to now. */
type Condition = {
  event: EventName
  agg: 'count' | 'sum'
  days: number
  op: 'gt' | 'gte' | 'eq'
  value: number
}
/** Who meets all conditions. */
export type BenchRule = { slug: string; conditions: Condition[] }

const DAYS = [1, 3, 7, 14, 21, 30]

/** The first is the demo's: more than $1,000 in more than 5 orders in 30 days. */
export function benchRules(count: number): BenchRule[] {
  return Array.from({ length: count }, (_, i) =>
    i === 0
      ? {
          slug: DEMO_SEGMENT,
          conditions: [of('Order Completed', 'sum', 30, 'gt', 1000), orders(30, 'gt', 5)],
        }
      : { slug: `bench-${i}`, conditions: conditionsOf(i) },
  )
}

function conditionsOf(i: number): Condition[] {
  const days = DAYS[Math.floor(i / 4) % DAYS.length] ?? 30
  const step = 1 + (Math.floor(i / 24) % 4)
  switch (i % 4) {
    case 0:
      return [of('Product Viewed', 'count', days, 'gte', step + 1)]
    case 1:
      return [of('Order Completed', 'sum', days, 'gt', 100 * step), orders(30, 'gte', 2)]
    case 2:
      return [of('Product Added', 'count', days, 'gte', step), orders(days, 'eq', 0)]
    default:
      return [of('Products Searched', 'count', days, 'gte', step), of('Cart Viewed', 'count', days, 'gte', 1)]
  }
}

function of(
  event: EventName,
  agg: Condition['agg'],
  days: number,
  op: Condition['op'],
  value: number,
): Condition {
  return { event, agg, days, op, value }
}
const orders = (days: number, op: Condition['op'], value: number) =>
  of('Order Completed', 'count', days, op, value)

/** The rule document of the API. */
export function ruleOf({ slug, conditions }: BenchRule): unknown {
  if (slug === DEMO_SEGMENT) return DEMO_RULE
  const nodes = conditions.map(({ event, agg, days, op, value }) => ({
    k: 'agg',
    event,
    agg,
    ...(agg === 'sum' ? { prop: 'revenue' } : {}),
    window: { k: 'rolling', last: `P${days}D` },
    op,
    value,
  }))
  return { match: { k: 'all', of: nodes } }
}

const OPERATORS = { gt: '>', gte: '>=', eq: '=' } as const

/**
 * One statement for all rules: reads each event once and makes `table (segment_id, profile_id)` of the members at `atMs`. Not an
 * insert, which Postgres would run on one core alone. `segmentIds` and `eventIds` are by slug and by name. Everyone
 * whom a rule takes has one of its events.
 */
export function handWritten(
  table: string,
  rules: BenchRule[],
  segmentIds: ReadonlyMap<string, number>,
  eventIds: ReadonlyMap<string, number>,
  atMs: number,
): string {
  const since = (days: number) => `at_ms(${atMs - days * 86_400_000})`
  const columns = new Map<string, string>()
  const columnOf = ({ event, agg, days }: Condition) => {
    const eventId = eventIds.get(event)
    if (eventId === undefined) throw new Error(`the event ${event} has no number`)
    const value = agg === 'count' ? 'count(*)' : 'sum(value)'
    const currency = agg === 'count' ? '' : " and currency = 'USD'"
    const text = `${value} filter (where event_id = ${eventId} and time > ${since(days)}${currency})`
    const known = columns.get(text) ?? `c${columns.size}`
    columns.set(text, known)
    return known
  }
  const rows = rules.map(({ slug, conditions }) => {
    const tests = conditions.map((condition) => {
      const { agg, op, value } = condition
      return `${columnOf(condition)} ${OPERATORS[op]} ${agg === 'sum' ? value * 100 : value}`
    })
    return `(${segmentIds.get(slug) ?? 0}, ${tests.join(' and ')})`
  })
  const longest = Math.max(...rules.flatMap((rule) => rule.conditions.map((one) => one.days)))
  return `
    create table ${table} as
    select rule.segment_id, facts.profile_id
    from (
      select profile_id, ${[...columns].map(([text, name]) => `${text} as ${name}`).join(',\n        ')}
      from events
      where time > ${since(longest)} and time <= at_ms(${atMs})
      group by profile_id
    ) facts
    cross join lateral (values ${rows.join(',\n      ')}) as rule (segment_id, holds)
    where rule.holds`
}
