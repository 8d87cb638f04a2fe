// Who is in a segment, read from all servers: pages by profile number, as of now or as it was known at an instant.
import type { ChangeMetric } from '../schema/change-metric.ts'
import { pageOfAll, type Servers } from './servers.ts'

export type Member = {
  profileId: number
  userId: string | null
  enteredAt: Date
  metrics: ChangeMetric[] | null
}

/** A page of members by profile number; `withMetrics` = with what decided that they entered, else null. */
export function listMembers(
  servers: Servers,
  segmentId: number,
  options: { afterProfileId: number; limit: number; withMetrics: boolean },
): Promise<Member[]> {
  const { afterProfileId, limit, withMetrics } = options
  return pageOfAll(
    servers,
    limit,
    (sql) => sql<Member[]>`
      select m.profile_id as "profileId", p.user_id as "userId", m.entered_at as "enteredAt",
        ${withMetrics ? sql`(select metrics from membership_changes c where c.bucket = m.bucket and c.change_id = m.change_id)` : sql`null::jsonb`} as metrics
      from memberships m
      join profiles p on p.bucket = m.bucket and p.profile_id = m.profile_id
      where m.segment_id = ${segmentId} and m.profile_id > ${afterProfileId}
      order by m.profile_id
      limit ${limit}`,
    (a, b) => a.profileId - b.profileId,
  )
}

/** A page of those who were members at an instant as it was known then: by their newest change that was recorded before it. */
export function listMembersKnownAt(
  servers: Servers,
  segmentId: number,
  options: { knownAtMs: number; afterProfileId: number; limit: number },
): Promise<Member[]> {
  const { knownAtMs, afterProfileId, limit } = options
  return pageOfAll(
    servers,
    limit,
    (sql) => sql<Member[]>`
      select c.profile_id as "profileId", p.user_id as "userId", c.effective_at as "enteredAt", c.metrics
      from (
        select distinct on (profile_id) profile_id, bucket, op, effective_at, metrics
        from membership_changes
        where segment_id = ${segmentId} and profile_id > ${afterProfileId} and recorded_at <= at_ms(${knownAtMs})
        order by profile_id, change_id desc
      ) c
      join profiles p on p.bucket = c.bucket and p.profile_id = c.profile_id
      where c.op = 'enter'
      order by c.profile_id
      limit ${limit}`,
    (a, b) => a.profileId - b.profileId,
  )
}

export async function countMembers(servers: Servers, segmentId: number): Promise<number> {
  let size = 0
  for (const sql of servers.all) {
    const [row] = await sql<{ size: number }[]>`
      select count(*)::int as size from memberships where segment_id = ${segmentId}`
    size += row?.size ?? 0
  }
  return size
}
