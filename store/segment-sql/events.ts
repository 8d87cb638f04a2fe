// Conditions on a person's events, as conditions on `p` with a look into `events` each: how often and how much, the first
// or last one, when it was, and that there was none.
import type { AbsenceNode, AggNode, PickNode, PropertyFilter, TimeNode, Window } from '../../schema/rule.ts'
import { intArray } from '../arrays.ts'
import { fits, numberOf, operator } from './conditions.ts'
import { type Fragment, joined, type Scope } from './scope.ts'
import { isInWindow, lengthOf } from './windows.ts'

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

function isOneIn(scope: Scope, node: Events, window: Window): Fragment {
  return scope.sql`${isOne(scope, node)} and ${isInWindow(scope, window, (anchor) => isOne(scope, anchor))}`
}

export function aggregateHolds(scope: Scope, node: AggNode): Fragment {
  const { sql } = scope
  const events = sql`from events e where ${isOneIn(scope, node, node.window)}`
  const is = operator(sql, node.op)
  const isRevenue = node.prop === 'revenue' && node.agg !== 'distinct'
  const currency = node.currency ?? 'USD'
  const amount = isRevenue
    ? sql`case when e.currency = ${currency}::text then e.value::numeric end`
    : numberOf(sql, property(sql, node.prop ?? ''))
  // Revenue is kept in minor units.
  const scale = isRevenue && node.unit !== 'minor' ? 10 ** exponentOf(currency) : 1
  const wanted = sql`(${String(node.value)}::numeric * ${scale}::numeric)`
  switch (node.agg) {
    case 'count':
      return sql`(select count(*) ${is} ${wanted} ${events})`
    case 'distinct':
      return sql`(select count(distinct nullif(${property(sql, node.prop ?? '')}, 'null')) ${is} ${wanted} ${events})`
    case 'sum':
      return sql`(select coalesce(sum(${amount}), 0) ${is} ${wanted} ${events})`
    case 'avg':
      return sql`(select sum(${amount}) ${is} ${wanted} * count(${amount}) ${events})`
    case 'min':
      return sql`(select min(${amount}) ${is} ${wanted} ${events})`
    case 'max':
      return sql`(select max(${amount}) ${is} ${wanted} ${events})`
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

function earliestOrLatest(sql: Scope['sql'], pick: 'first' | 'last'): Fragment {
  return pick === 'first' ? sql`min(e.time)` : sql`max(e.time)`
}

export function absenceHolds(scope: Scope, node: AbsenceNode): Fragment {
  const { sql } = scope
  const { window } = node
  const none = sql`not exists (select from events e where ${isOneIn(scope, node, window)})`
  if (node.requireProfileAge !== true || window.k !== 'rolling') return none
  return sql`(p.first_seen <= p.at - ${lengthOf(scope, window.last)} and ${none})`
}
