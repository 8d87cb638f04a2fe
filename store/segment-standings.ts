// Who was in a segment at one instant and who at another, as it was known at each: by the changes that were recorded up to
// then. And the plans of stored versions, for who compares two of them.
import { compileRule, PLAN_VERSION, type Plan } from '../domain/segments/plan.ts'
import type { Rule } from '../schema/rule.ts'
import { intArray } from './arrays.ts'
import { readMetricsFor } from './metrics.ts'
import { pageOfAll, type Servers } from './servers.ts'
import type { Queryable } from './sql.ts'

/** Of somebody, at the one end and at the other. */
export type Standing = { profileId: number; was: boolean; is: boolean }

/**
 * The next people, by profile number, who have ever entered or left the segment: at most `limit`, also those who were in at
 * neither instant, so that a step costs the same wherever it is. Reads membership_changes_segment, in its order.
 */
export function readStandings(
  servers: Servers,
  segmentId: number,
  options: { fromMs: number; toMs: number; afterProfileId: number; limit: number },
): Promise<Standing[]> {
  const { fromMs, toMs, afterProfileId, limit } = options
  return pageOfAll(
    servers,
    limit,
    (sql) => {
      // Of the newest change up to an instant the lowest bit says whether it was an entry.
      const isIn = (atMs: number) => sql`
        coalesce(max(change_id * 2 + (op = 'enter')::int) filter (where recorded_at <= at_ms(${atMs})) & 1, 0) = 1`
      return sql<Standing[]>`
        select profile_id as "profileId", ${isIn(fromMs)} as was, ${isIn(toMs)} as is
        from membership_changes
        where segment_id = ${segmentId} and profile_id > ${afterProfileId}
        group by profile_id
        order by profile_id
        limit ${limit}`
    },
    (a, b) => a.profileId - b.profileId,
  )
}

/** The largest profile number that has ever entered or left it; 0 = none. One look into the same index in each partition. */
export async function newestPersonOf(servers: Servers, segmentId: number): Promise<number> {
  const rows = await Promise.all(
    servers.all.map(
      (sql) => sql<{ newest: number | null }[]>`
        select max(profile_id) as newest from membership_changes where segment_id = ${segmentId}`,
    ),
  )
  return Math.max(...rows.map(([row]) => row?.newest ?? 0))
}

/** The plans of a segment's versions, as they were stored; those that are not there are left out. */
export async function readVersionPlans(
  home: Queryable,
  segmentId: number,
  versions: number[],
): Promise<Map<number, Plan>> {
  const rows = await home<{ version: number; rule: Rule; plan: Plan }[]>`
    select version, rule, plan from segment_versions
    where segment_id = ${segmentId} and version = any(${intArray(versions)}::int[])`
  const isOld = (plan: Plan) => plan.planVersion !== PLAN_VERSION
  const metrics = await readMetricsFor(
    home,
    rows.filter(({ plan }) => isOld(plan)).map(({ rule }) => rule),
  )
  return new Map(
    rows.map(({ version, rule, plan }) => [version, isOld(plan) ? compileRule(rule, metrics) : plan]),
  )
}
