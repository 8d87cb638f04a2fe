// Conditions on a person's events, as conditions on `p` with a look into `events` each: how often and how much, the first
// or last one, when it was, and that there was none.
import type { AbsenceNode, AggNode, PickNode, PropertyFilter, TimeNode, Window } from '../../schema/rule.ts'
import { intArray } from '../arrays.ts'
import { fits, numberOf, operator } from './conditions.ts'
import { type Fragment, joined, type Scope } from './scope.ts'
import { isInWindow, lengthOf, zoneOf } from './windows.ts'

type Events = { event: string; type?: string; where?: PropertyFilter[] }

/** That `e` is one of these events of `p` up to `p.at`. Needs the key (profile_id, event_id, time, …) of the partitions. */
export function isOne(
  { sql, eventIds, buckets }: Scope,
  { event, type = 'track', where = [] }: Events,
): Fragment {
  const filters = where.map(
    (filter) => sql`coalesce(${fits(sql, property(sql, filter.prop), filter)}, false)`,
  )
  return joined(
    sql,
    [
      sql`e.profile_id = p.profile_id and e.bucket = p.bucket and e.bucket between ${buckets.from} and ${buckets.to}
        and e.event_id = any(${intArray(eventIds({ type, event }))}::smallint[]) and e.time <= p.at`,
      ...filters,
    ],
    sql`and`,
  )
}

export function property(sql: Scope['sql'], prop: string): Fragment {
  return sql`(e.properties -> ${prop}::text)`
}

export function isOneIn(scope: Scope, node: Events, window: Window): Fragment {
  return scope.sql`${isOne(scope, node)} and ${isInWindow(scope, window, (anchor) => isOne(scope, anchor))}`
}

export function aggregateHolds(scope: Scope, node: AggNode): Fragment {
  const { sql } = scope
  // Revenue is kept in minor units.
  const scale = isRevenue(node) && node.unit !== 'minor' ? 10 ** exponentOf(node.currency ?? 'USD') : 1
  const wanted = sql`(${String(node.value)}::numeric * ${scale}::numeric)`
  const { amount, per } = measureOf(scope, node)
  return sql`(
    select ${amount} ${operator(sql, node.op)} ${wanted} * ${per}
    from events e where ${isOneIn(scope, node, node.window)}
  )`
}

type Measured = Omit<AggNode, 'op' | 'value'>

function isRevenue({ prop, agg }: Measured): boolean {
  return prop === 'revenue' && agg !== 'distinct'
}

/**
 * Over events `e`: `amount` of so many, `per` so many, so that nothing is divided before it is compared; `found` = how many
 * events it is made of. Revenue in minor units.
 */
export function measureOf(
  scope: Scope,
  node: Measured,
): { amount: Fragment; per: Fragment; found: Fragment } {
  const { sql } = scope
  const value = isRevenue(node)
    ? sql`case when e.currency = ${node.currency ?? 'USD'}::text then e.value::numeric end`
    : numberOf(sql, property(sql, node.prop ?? ''))
  const [one, all, valued] = [sql`1`, sql`count(*)`, sql`count(${value})`]
  switch (node.agg) {
    case 'count':
      return { amount: all, per: one, found: all }
    case 'distinct': {
      const different = sql`count(distinct nullif(${property(sql, node.prop ?? '')}, 'null'))`
      return { amount: different, per: one, found: different }
    }
    case 'sum':
      return { amount: sql`coalesce(sum(${value}), 0)`, per: one, found: valued }
    case 'avg':
      return { amount: sql`sum(${value})`, per: valued, found: valued }
    case 'min':
      return { amount: sql`min(${value})`, per: one, found: valued }
    case 'max':
      return { amount: sql`max(${value})`, per: one, found: valued }
    case 'days': {
      const days = sql`count(distinct (e.time at time zone ${zoneOf(scope, node.tz)})::date)`
      return { amount: days, per: one, found: all }
    }
    case 'span':
      return { amount: sql`extract(epoch from max(e.time) - min(e.time))`, per: sql`86400`, found: all }
  }
}

/** ISO 4217: digits behind the point, where they are not two. */
const EXPONENTS = [
  { digits: 0, of: 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF' },
  { digits: 3, of: 'BHD IQD JOD KWD LYD OMR TND' },
  { digits: 4, of: 'CLF UYW' },
]

function exponentOf(currency: string): number {
  return EXPONENTS.find(({ of }) => of.split(' ').includes(currency))?.digits ?? 2
}

/** Of several at the first or last instant any may fit. */
export function pickHolds(scope: Scope, node: PickNode): Fragment {
  const { sql } = scope
  const events = isOneIn(scope, node, node.window)
  return sql`exists (
    select from events e
    where ${events}
      and e.time = (select ${earliestOrLatest(sql, node.pick)} from events e where ${events})
      and ${fits(sql, property(sql, node.prop), node)}
  )`
}

export function timeHolds(scope: Scope, node: TimeNode): Fragment {
  const { sql } = scope
  const is = node.op === 'within' ? sql`>` : sql`<=`
  return sql`(
    select ${earliestOrLatest(sql, node.pick)} ${is} p.at - ${lengthOf(scope, node.ago)} from events e where ${isOne(scope, node)}
  )`
}

export function earliestOrLatest(sql: Scope['sql'], pick: 'first' | 'last'): Fragment {
  return pick === 'first' ? sql`min(e.time)` : sql`max(e.time)`
}

export function absenceHolds(scope: Scope, node: AbsenceNode): Fragment {
  const { sql } = scope
  const { window } = node
  const none = sql`not exists (select from events e where ${isOneIn(scope, node, window)})`
  if (node.requireProfileAge !== true || window.k !== 'rolling') return none
  return sql`(p.first_seen <= p.at - ${lengthOf(scope, window.last)} and ${none})`
}
