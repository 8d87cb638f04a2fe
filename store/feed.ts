// Membership changes in an order that can be followed without a gap, while transactions commit in any order and on several
// servers. A change gets its number while its writer holds the lock of its person's eight buckets (`tryLockShards`), and
// Postgres lets go of the lock only after the commit can be seen. So of two changes of one lock the later number is also the later
// commit: who sees it sees all before it. A position holds one number a lock (domain/feed-position.ts); nothing is said of the
// order between locks, and nothing needs it. The number of shards, which may be changing, plays no part.
import { BUCKET_RANGES, lockOfProfile, locksOfRange } from '../domain/buckets.ts'
import { afterChanges, type Position } from '../domain/feed-position.ts'
import type { ChangeMetric } from '../schema/change-metric.ts'
import { intArray } from './arrays.ts'
import type { Servers } from './servers.ts'
import type { Sql } from './sql.ts'

export type RecordedChange = {
  id: number
  profileId: number
  /** As the profile has it now; null = none. */
  userId: string | null
  segmentId: number
  op: 'enter' | 'exit'
  reason: string
  version: number
  effectiveAt: Date
  recordedAt: Date
  metrics: ChangeMetric[] | null
}

export type FeedRead = {
  /** By number; of each lock without a gap after the position that was asked for. */
  changes: RecordedChange[]
  /** After these changes. */
  position: Position
  /** Whether that is all there was; false also when a server did not answer. */
  isWhole: boolean
  /** The first error of servers that did not answer: their people's changes are left out. */
  failure?: unknown
}

/** Which locks' people each server has. */
function locksByServer(servers: Servers): Map<Sql, number[]> {
  const ranges = Array.from({ length: BUCKET_RANGES }, (_, range) => range)
  const bySql = Map.groupBy(ranges, (range) => servers.ofRange(range))
  return new Map([...bySql].map(([sql, own]) => [sql, own.flatMap(locksOfRange)]))
}

/**
 * The next changes after a position, at most `limit` of each lock. One descent of membership_changes_lock a
 * lock; people are looked up one by one, since for a join Postgres would read all of them.
 */
export async function readChangesAfter(
  servers: Servers,
  position: Position,
  limit: number,
): Promise<FeedRead> {
  const reads = [...locksByServer(servers)].map(
    ([sql, locks]) => sql<RecordedChange[]>`
      select c.change_id as id, c.profile_id as "profileId",
        (select user_id from profiles p where p.bucket = c.bucket and p.profile_id = c.profile_id) as "userId", c.segment_id as "segmentId", c.op, c.reason,
        c.version, c.effective_at as "effectiveAt", c.recorded_at as "recordedAt", c.metrics
      from unnest(${intArray(locks)}::int[], ${intArray(locks.map((lock) => position[lock] ?? 0))}::bigint[]) as read (lock, upto)
      join lateral (
        select bucket, change_id, profile_id, segment_id, op, reason, version, effective_at, recorded_at, metrics
        from membership_changes
        where bucket between read.lock * 8 and read.lock * 8 + 7 and bucket >> 3 = read.lock and change_id > read.upto
        order by change_id
        limit ${limit}
      ) c on true`,
  )
  const settled = await Promise.allSettled(reads)
  const failed = settled.find((one) => one.status === 'rejected')
  const changes = settled.flatMap((one) => (one.status === 'fulfilled' ? [...one.value] : []))
  changes.sort((a, b) => a.id - b.id)
  const isFull = Map.groupBy(changes, ({ profileId }) => lockOfProfile(profileId))
  return {
    changes,
    position: afterChanges(position, changes),
    isWhole: failed === undefined && [...isFull.values()].every((own) => own.length < limit),
    ...(failed === undefined ? {} : { failure: failed.reason }),
  }
}

/** After all changes that can be seen now. */
export async function newestPosition(servers: Servers): Promise<Position> {
  const position: number[] = []
  for (const [sql, locks] of locksByServer(servers)) {
    const rows = await sql<{ lock: number; newest: number }[]>`${newestOf(sql, locks)}`
    for (const { lock, newest } of rows) position[lock] = newest
  }
  return position
}

function newestOf(sql: Sql, locks: number[]) {
  return sql`
    select wanted.lock, coalesce(c.change_id, 0) as newest
    from unnest(${intArray(locks)}::int[]) as wanted (lock)
    left join lateral (
      select change_id
      from membership_changes
      where bucket between wanted.lock * 8 and wanted.lock * 8 + 7 and bucket >> 3 = wanted.lock
      order by change_id desc
      limit 1
    ) c on true`
}

/** How many are in each segment (shadows left out), and the position that this is as of: one statement, so one snapshot, a server. */
export async function countMembersAt(
  servers: Servers,
): Promise<{ members: Map<number, number>; position: Position }> {
  const position: number[] = []
  const members = new Map<number, number>()
  for (const [sql, locks] of locksByServer(servers)) {
    const rows = await sql<{ lock: number | null; segmentId: number | null; number: number }[]>`
      select lock, null::int as "segmentId", newest as number from (${newestOf(sql, locks)}) n
      union all
      select null, segment_id, count(*) from memberships where segment_id > 0 group by segment_id`
    for (const { lock, segmentId, number } of rows) {
      if (lock !== null) position[lock] = number
      if (segmentId !== null) members.set(segmentId, (members.get(segmentId) ?? 0) + number)
    }
  }
  return { members, position }
}

/** Whether a position can be of this deployment: none of its numbers is one that was not given out yet. */
export async function isOfThisDeployment(servers: Servers, position: Position): Promise<boolean> {
  for (const [sql, locks] of locksByServer(servers)) {
    const [row] = await sql<{ last_value: number }[]>`select last_value from membership_change_numbers`
    const given = row?.last_value ?? 0
    if (locks.some((lock) => (position[lock] ?? 0) > given)) return false
  }
  return true
}
