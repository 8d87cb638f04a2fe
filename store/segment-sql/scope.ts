// What the parts of a statement share while it is written: the driver's template, what home has said, and what has to stand
// before the last select. A part is a fragment: its values are parameters, nothing of a rule is ever text of the statement.
import type { PendingQuery, Row } from 'postgres'
import { fail, type MillraceError } from '../../runtime/errors.ts'
import type { MetricDefinition } from '../../schema/metric.ts'
import type { Rule } from '../../schema/rule.ts'
import type { Queryable } from '../sql.ts'

/**
 * Inside a statement `p` is the row of somebody asked about: profile_id, bucket, traits, first_seen and the instant `at`;
 * `e` is an event.
 */
export type Fragment = PendingQuery<Row[]>

export type EventName = { type: string; event: string }

/** As it is defined now; `cuts` = its live points, ascending, and what they were worked out for. */
export type HomeMetric = {
  definition: MetricDefinition
  cuts?: { definition: MetricDefinition; points: string[] }
}

/** What only home knows: numbers of event names, who is in a list, and what the names of metrics stand for. */
export type HomeFacts = {
  eventIds(name: EventName): number[]
  listed(slug: string): number[]
  metric(slug: string): HomeMetric | undefined
}

export type Scope = HomeFacts & {
  sql: Queryable
  /** Rules of the live segments, by slug. */
  rules: ReadonlyMap<string, Rule>
  /** Buckets of everybody who is asked about: partitions outside of them are not even planned. */
  buckets: { from: number; to: number }
  /** The column of `p` with the zone that a trait names. */
  zoneColumns: Map<string, Fragment>
  /** Members of the segments that are referred to, by slug; each stands before the last select once. */
  segments: Map<string, { name: Fragment; members: Fragment }>
}

/** Why SQL does not decide this rule. */
export function unsupported(what: string): MillraceError {
  return fail('unsupported', `the evaluator in SQL does not know ${what}`)
}

export function joined(sql: Queryable, parts: Fragment[], word: Fragment): Fragment {
  const [first = sql``, ...rest] = parts
  return rest.reduce((before, part) => sql`${before} ${word} ${part}`, first)
}
