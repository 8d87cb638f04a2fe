// Who a rule is true of, from scratch: one statement over what is stored, for given people at given instants. It knows
// nothing of plans, timers or memberships; the drift gauge (workers/schedule/drift.ts) and tests hold the engine against it.
import type { Rule } from '../../schema/rule.ts'
import { intArray } from '../arrays.ts'
import type { Queryable } from '../sql.ts'
import { type Asked, readHomeFacts, readHomeMetrics } from './home-facts.ts'
import { nodeHolds } from './nodes.ts'
import { type Fragment, type HomeFacts, type HomeMetric, joined, type Scope } from './scope.ts'
import { zoneColumns } from './windows.ts'

/** Somebody, and the instant (ms) at which the rule is asked. */
export type Ask = { profileId: number; atMs: number }

export type MembersInput = {
  rule: Rule
  /** Those of the live segments by slug, for rules that refer to them. */
  rules: ReadonlyMap<string, Rule>
  asks: readonly Ask[]
}

/** Where people's rows are, and where names of events and lists are: two connections, or one and the same. */
export type Places = { sql: Queryable; home: Queryable }

/**
 * Those of `asks` of whom the rule is true; who was merged away is never among them. `sql` = the server with the rows of all
 * these people. Throws `unsupported` for what SQL cannot say.
 */
export async function membersOf(places: Places, input: MembersInput): Promise<Ask[]> {
  if (input.asks.length === 0) return []
  const { statement } = await membersStatement(places, input)
  return await statement
}

/** The statement of `membersOf`, to be run or to be part of another; it returns "profileId" and "atMs". */
export async function membersStatement({ sql, home }: Places, input: MembersInput) {
  const metrics = await readHomeMetrics(home, askedBy(sql, input, new Map()).metrics)
  const asked = askedBy(sql, input, metrics)
  const facts = await readHomeFacts(home, asked, [...new Set(input.asks.map((ask) => ask.profileId))])
  return { statement: statementOf(sql, input, { ...facts, metric: (slug) => metrics.get(slug) }) }
}

/** What the statement asks of home: it is written once to see it. */
function askedBy(sql: Queryable, input: MembersInput, metrics: ReadonlyMap<string, HomeMetric>) {
  const asked: Asked & { metrics: string[] } = { names: [], lists: [], metrics: [] }
  statementOf(sql, input, {
    eventIds: (name) => {
      asked.names.push(name)
      return []
    },
    listed: (slug) => {
      asked.lists.push(slug)
      return []
    },
    metric: (slug) => {
      asked.metrics.push(slug)
      return metrics.get(slug)
    },
  })
  return asked
}

function statementOf(sql: Queryable, { rule, rules, asks }: MembersInput, facts: HomeFacts) {
  const buckets = asks.map(({ profileId }) => profileId % 1024)
  const scope: Scope = {
    ...facts,
    sql,
    rules,
    buckets: { from: buckets.reduce((a, b) => Math.min(a, b)), to: buckets.reduce((a, b) => Math.max(a, b)) },
    zoneColumns: new Map(),
    segments: new Map(),
  }
  const holds = nodeHolds(scope, rule.match)
  const segments = [...scope.segments.values()].map(
    ({ name, members }) =>
      sql`, ${name} as materialized (select p.profile_id, p.at from asked p where ${members})`,
  )
  return sql<Ask[]>`
    with ${zoneNames(scope)}asked as materialized (
      select p.profile_id, p.bucket, p.traits, p.first_seen, at_ms(a.ms) as at ${zoneColumns(scope)}
      from unnest(${intArray(asks.map((ask) => ask.profileId))}::bigint[], ${intArray(asks.map((ask) => ask.atMs))}::bigint[]) as a (profile_id, ms)
      join profiles p on p.bucket = (a.profile_id & 1023) and p.profile_id = a.profile_id
      where p.merged_into is null
    ) ${joined(sql, segments, sql``)}
    select p.profile_id as "profileId", round(extract(epoch from p.at) * 1000)::bigint as "atMs"
    from asked p
    where ${holds}`
}

/** Postgres also lists names that are its own, which no client knows. */
function zoneNames({ sql, zoneColumns }: Scope): Fragment {
  if (zoneColumns.size === 0) return sql``
  return sql`zone_names as materialized (
    select name from pg_timezone_names where name !~ '^(posix/|right/|posixrules$|localtime$|Factory$)'
  ), `
}
