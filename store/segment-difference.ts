// Who is in only one of a segment and its shadow: whom publishing a draft, or going back, moves. The members of a shadow stand
// beside those of its segment under the negative number.
import { BUCKETS } from '../domain/buckets.ts'
import { awaitShards } from './memberships.ts'
import { pageOfAll, type Servers } from './servers.ts'
import { inTransaction } from './sql.ts'

/**
 * Returns when every pass that writes these buckets now has ended: whoever begins after it sees what is committed, so a
 * pass that still held the rule of before cannot make a difference behind the reader's back.
 */
export async function awaitWriters(
  servers: Servers,
  { from, to }: { from: number; to: number },
): Promise<void> {
  const buckets = Array.from({ length: to - from + 1 }, (_, i) => from + i)
  for (const sql of servers.all) await inTransaction(sql, (tx) => awaitShards(tx, buckets, BUCKETS))
}

/** Profiles of a bucket range in key order. */
export async function differenceOfBuckets(
  servers: Servers,
  of: { segmentId: number; from: number; to: number; afterProfileId: number | undefined; limit: number },
): Promise<number[]> {
  const after = of.afterProfileId ?? -1
  const bucket = of.afterProfileId === undefined ? of.from : of.afterProfileId % 1024
  const rows = await pageOfAll(
    servers,
    of.limit,
    (sql) => sql<{ bucket: number; profile_id: number }[]>`
      select bucket, profile_id
      from memberships
      where segment_id in (${of.segmentId}, ${-of.segmentId}) and bucket between ${bucket} and ${of.to}
        and (bucket, profile_id) > (${bucket}, ${after})
      group by bucket, profile_id
      having count(*) = 1
      order by bucket, profile_id
      limit ${of.limit}`,
    (a, b) => a.bucket - b.bucket || a.profile_id - b.profile_id,
  )
  return rows.map((row) => row.profile_id)
}

/** `stays` are in both. */
export type DifferenceSize = { entering: number; leaving: number; stays: number }

export async function sizeOfDifference(servers: Servers, segmentId: number): Promise<DifferenceSize> {
  const sizes = await Promise.all(
    servers.all.map(
      (sql) => sql<DifferenceSize[]>`
        select count(*) filter (where shadow and not live)::int as entering,
          count(*) filter (where live and not shadow)::int as leaving,
          count(*) filter (where live and shadow)::int as stays
        from (
          select bool_or(segment_id = ${segmentId}) as live, bool_or(segment_id = ${-segmentId}) as shadow
          from memberships
          where segment_id in (${segmentId}, ${-segmentId})
          group by bucket, profile_id
        ) people`,
    ),
  )
  const total = { entering: 0, leaving: 0, stays: 0 }
  for (const [size] of sizes) {
    total.entering += size?.entering ?? 0
    total.leaving += size?.leaving ?? 0
    total.stays += size?.stays ?? 0
  }
  return total
}

export type Moved = { profileId: number; userId: string | null; op: 'enter' | 'exit' }

/** A page of the people of the difference, by profile number. */
export function listDifference(
  servers: Servers,
  of: { segmentId: number; op: 'enter' | 'exit' | undefined; afterProfileId: number; limit: number },
): Promise<Moved[]> {
  const only = of.op === undefined ? undefined : of.op === 'enter' ? -of.segmentId : of.segmentId
  return pageOfAll(
    servers,
    of.limit,
    (sql) => sql<Moved[]>`
      select m.profile_id as "profileId", p.user_id as "userId", m.op
      from (
        select bucket, profile_id, case when min(segment_id) < 0 then 'enter' else 'exit' end as op
        from memberships
        where segment_id in (${of.segmentId}, ${-of.segmentId}) and profile_id > ${of.afterProfileId}
        group by bucket, profile_id
        having count(*) = 1 ${only === undefined ? sql`` : sql`and min(segment_id) = ${only}`}
        order by profile_id
        limit ${of.limit}
      ) m
      join profiles p on p.bucket = m.bucket and p.profile_id = m.profile_id
      order by m.profile_id`,
    (a, b) => a.profileId - b.profileId,
  )
}

/** Forgets the members of a shadow that is evaluated no more. */
export async function clearShadow(servers: Servers, segmentId: number): Promise<void> {
  for (const sql of servers.all) await sql`delete from memberships where segment_id = ${-segmentId}`
}
