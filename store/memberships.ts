// Who is in which segment, every entry and exit, and the timers that time-driven changes wait on. Written by the one
// writer of a shard, under its lock.
import type { PendingQuery, Row } from 'postgres'
import { locksOfShard } from '../domain/buckets.ts'
import type { ChangeMetric } from '../schema/change-metric.ts'
import { intArray, textArray } from './arrays.ts'
import { pageOfAll, type Servers } from './servers.ts'
import type { Queryable, Transaction } from './sql.ts'
import { woken } from './wake.ts'

export type MembershipChange = {
  segmentId: number
  profileId: number
  op: 'enter' | 'exit'
  reason: string
  version: number
  effectiveAtMs: number
  /** What decided it; null where no rule did. */
  metrics: ChangeMetric[] | null
}

/**
 * Takes the shards of `total` that nobody else is writing, until the end of the transaction, and says which: one pass at
 * a time writes a shard's memberships, whatever the queues do, also while another process still counts the shards in
 * another way: what is locked are the shard's buckets. Never waits, so passes over several shards cannot deadlock; who
 * does not get a shard's first lock asks for no other of it, so two that want the same shard do not keep both out.
 */
export async function tryLockShards(tx: Transaction, shards: number[], total: number): Promise<number[]> {
  const locks = shards.map((shard) => locksOfShard(shard, total))
  const rows = await tx<{ shard: number }[]>`
    with recursive wanted as (
      select * from unnest(
        ${intArray(shards)}::int[],
        ${intArray(locks.map((lock) => lock.first))}::int[],
        ${intArray(locks.map((lock) => lock.last))}::int[]
      ) as wanted (shard, lock, last)
    ), taken as (
      select shard, lock, last, pg_try_advisory_xact_lock(hashtextextended(current_schema() || '.writer', lock)) as got
      from wanted
      union all
      select shard, lock + 1, last, pg_try_advisory_xact_lock(hashtextextended(current_schema() || '.writer', lock + 1))
      from taken
      where got and lock < last
    )
    select shard from taken where got and lock = last`
  return rows.map((row) => row.shard)
}

/**
 * As `tryLockShards`, for who can wait and must not be kept out for ever: takes all of them, one after the other in order. A
 * pass that does not wait leaves a shard that somebody waits for alone.
 */
export async function awaitShards(tx: Transaction, shards: number[], total: number): Promise<void> {
  const locks = shards.flatMap((shard) => {
    const { first, last } = locksOfShard(shard, total)
    return Array.from({ length: last - first + 1 }, (_, i) => first + i)
  })
  await tx`
    select pg_advisory_xact_lock(hashtextextended(current_schema() || '.writer', lock))
    from (select distinct lock from unnest(${intArray(locks)}::int[]) as l (lock) order by lock) as in_order`
}

export type ProfileState = {
  profileId: number
  mergedInto: number | null
  traits: Record<string, unknown>
  /** Since when (ms) each of the traits asked about is what it is. */
  traitSince: Record<string, number>
  wakeAtMs: number | null
  /** Times of the first and the last event. */
  firstMs: number
  lastMs: number
}

/** Traits, since when those of `sinceOf` are what they are, merge state and stored timer of the profiles that exist. */
export async function readProfileStates(
  tx: Queryable,
  profileIds: number[],
  withTraits: boolean,
  sinceOf: string[] = [],
): Promise<ProfileState[]> {
  // An entry has a third member where the value is older than the newest call that said it.
  const since =
    sinceOf.length === 0
      ? tx`'{}'::jsonb`
      : tx`(
          select coalesce(jsonb_object_agg(name, coalesce(p.trait_times -> name -> 2, p.trait_times -> name -> 0)), '{}')
          from unnest(${textArray(sinceOf)}::text[]) as asked (name)
          where p.trait_times ? name)`
  const rows = await tx<
    {
      profile_id: number
      merged_into: number | null
      traits: Record<string, unknown>
      trait_since: Record<string, number>
      wake_at: Date | null
      first_seen: Date
      last_seen: Date
    }[]
  >`
    select p.profile_id, p.merged_into, ${withTraits ? tx`p.traits` : tx`'{}'::jsonb`} as traits,
      ${since} as trait_since, t.wake_at, p.first_seen, p.last_seen
    from unnest(${intArray(profileIds)}::bigint[]) as ids (profile_id)
    join profiles p on p.bucket = (ids.profile_id & 1023) and p.profile_id = ids.profile_id
    left join segment_timers t on t.bucket = (ids.profile_id & 1023) and t.profile_id = ids.profile_id`
  return rows.map((row) => ({
    profileId: row.profile_id,
    mergedInto: row.merged_into,
    traits: row.traits,
    traitSince: row.trait_since,
    wakeAtMs: row.wake_at?.getTime() ?? null,
    firstMs: row.first_seen.getTime(),
    lastMs: row.last_seen.getTime(),
  }))
}

/** Segments that each of the profiles is in. */
export async function readMembershipsOf(
  sql: Queryable,
  profileIds: number[],
): Promise<Map<number, Set<number>>> {
  // As text: the driver takes arrays apart sign by sign.
  const rows = await sql<{ profile_id: number; segment_ids: string }[]>`
    select m.profile_id, string_agg(m.segment_id::text, ',') as segment_ids
    from unnest(${intArray(profileIds)}::bigint[]) as ids (profile_id)
    join memberships m on m.bucket = (ids.profile_id & 1023) and m.profile_id = ids.profile_id
    group by m.profile_id`
  return new Map(rows.map((row) => [row.profile_id, new Set(row.segment_ids.split(',').map(Number))]))
}

/**
 * What writes entries and exits with their changes, in the pass's transaction; those of shadows leave no change behind. None is sent
 * before somebody waits for it, so that all statements of a pass can go in one trip.
 */
export function changeStatements(
  tx: Transaction,
  found: MembershipChange[],
  isPending: (change: MembershipChange) => boolean = () => true,
): PendingQuery<Row[]>[] {
  const shadows = found.filter((change) => change.segmentId < 0)
  const changes = found.filter((change) => change.segmentId > 0)
  return [
    ...(shadows.length === 0 ? [] : [shadowStatement(tx, shadows)]),
    ...(changes.length === 0 ? [] : [changeStatement(tx, changes, isPending)]),
  ]
}

function changeStatement(
  tx: Transaction,
  changes: MembershipChange[],
  isPending: (change: MembershipChange) => boolean,
): PendingQuery<Row[]> {
  const columns = [
    intArray(changes.map((change) => change.profileId)),
    intArray(changes.map((change) => change.segmentId)),
    textArray(changes.map((change) => change.op)),
    textArray(changes.map((change) => change.reason)),
    intArray(changes.map((change) => change.version)),
    intArray(changes.map((change) => change.effectiveAtMs)),
    textArray(changes.map(({ metrics }) => (metrics === null ? null : JSON.stringify(metrics)))),
    intArray(changes.map((change) => (isPending(change) ? 1 : 0))),
  ] as const
  return tx`
    with change as (
      insert into membership_changes (bucket, profile_id, segment_id, op, reason, version, effective_at, metrics, announced_at)
      select profile_id & 1023, profile_id, segment_id, op, reason, version, at_ms(effective_ms), metrics::jsonb,
        case pending when 0 then clock_timestamp() end
      from unnest(${columns[0]}::bigint[], ${columns[1]}::int[], ${columns[2]}::text[], ${columns[3]}::text[],
        ${columns[4]}::int[], ${columns[5]}::bigint[], ${columns[6]}::text[], ${columns[7]}::int[])
        as c (profile_id, segment_id, op, reason, version, effective_ms, metrics, pending)
      returning bucket, change_id, profile_id, segment_id, op, version, effective_at
    ), entered as (
      insert into memberships (bucket, segment_id, profile_id, entered_at, version, change_id)
      select bucket, segment_id, profile_id, effective_at, version, change_id from change where op = 'enter'
      on conflict (bucket, segment_id, profile_id) do nothing
    )
    delete from memberships m
    using change c
    where c.op = 'exit' and m.bucket = c.bucket and m.segment_id = c.segment_id and m.profile_id = c.profile_id`
}

function shadowStatement(tx: Transaction, changes: MembershipChange[]): PendingQuery<Row[]> {
  return tx`
    with change as (
      select profile_id & 1023 as bucket, profile_id, segment_id, op, version, at_ms(effective_ms) as effective_at
      from unnest(${intArray(changes.map((change) => change.profileId))}::bigint[],
        ${intArray(changes.map((change) => change.segmentId))}::int[], ${textArray(changes.map((change) => change.op))}::text[],
        ${intArray(changes.map((change) => change.version))}::int[], ${intArray(changes.map((change) => change.effectiveAtMs))}::bigint[])
        as c (profile_id, segment_id, op, version, effective_ms)
    ), entered as (
      insert into memberships (bucket, segment_id, profile_id, entered_at, version, change_id)
      select bucket, segment_id, profile_id, effective_at, version, 0 from change where op = 'enter'
      on conflict (bucket, segment_id, profile_id) do nothing
    )
    delete from memberships m
    using change c
    where c.op = 'exit' and m.bucket = c.bucket and m.segment_id = c.segment_id and m.profile_id = c.profile_id`
}

/**
 * What sets or clears timers; callers pass only those that must change (a later wake-up than the stored one need not be). Of
 * whom somebody has woken since, the wake-up stays (store/wake.ts). Not sent before somebody waits for it.
 */
export function timerStatements(
  tx: Transaction,
  timers: { profileId: number; wakeAtMs: number | null }[],
): PendingQuery<Row[]>[] {
  const statements: PendingQuery<Row[]>[] = []
  const set = timers.filter((timer) => timer.wakeAtMs !== null)
  const cleared = timers.filter((timer) => timer.wakeAtMs === null).map((timer) => timer.profileId)
  if (set.length > 0) {
    statements.push(tx`
      insert into segment_timers (bucket, profile_id, wake_at)
      select profile_id & 1023, profile_id, at_ms(wake_ms)
      from unnest(${intArray(set.map((timer) => timer.profileId))}::bigint[], ${intArray(set.map((timer) => timer.wakeAtMs))}::bigint[]) as t (profile_id, wake_ms)
      on conflict (bucket, profile_id) do update set wake_at = excluded.wake_at, leased_until = null
      where segment_timers.leased_until is distinct from ${woken(tx)}`)
  }
  if (cleared.length > 0) {
    statements.push(tx`
      delete from segment_timers t
      using unnest(${intArray(cleared)}::bigint[]) as c (profile_id)
      where t.bucket = (c.profile_id & 1023) and t.profile_id = c.profile_id
        and t.leased_until is distinct from ${woken(tx)}`)
  }
  return statements
}

/** Due timers by profile, each leased for `leaseMs` so that the next tick does not send it again while it waits. */
export async function takeDueTimers(
  sql: Queryable,
  nowMs: number,
  options: { leaseMs: number; limit: number },
): Promise<number[]> {
  const rows = await sql<{ profile_id: number }[]>`
    update segment_timers t
    set leased_until = at_ms(${nowMs + options.leaseMs})
    from (select bucket, profile_id from segment_timers where wake_at <= at_ms(${nowMs}) and (leased_until is null or leased_until <= at_ms(${nowMs})) order by wake_at limit ${options.limit} for update skip locked) due
    where t.bucket = due.bucket and t.profile_id = due.profile_id
    returning t.profile_id`
  return rows.map((row) => row.profile_id)
}

/** When the next timer that nobody holds is due (ms), or null. One step along the index on wake_at. */
export async function nextTimer(sql: Queryable): Promise<number | null> {
  const [row] = await sql<{ wake_at: Date }[]>`
    select wake_at from segment_timers where leased_until is null order by wake_at limit 1`
  return row?.wake_at.getTime() ?? null
}

/** When the first lease is over and its timer comes up again (ms), or null. Only due timers are leased: a short stretch of the index. */
export async function nextLeaseEnd(sql: Queryable, nowMs: number): Promise<number | null> {
  const [row] = await sql<{ ends: Date | null }[]>`
    select min(leased_until) as ends from segment_timers where wake_at <= at_ms(${nowMs})`
  return row?.ends?.getTime() ?? null
}

/** The next profiles of a bucket range in key order (bucket, number). Needs the primary key. */
export async function profilesOfBuckets(
  servers: Servers,
  range: { from: number; to: number; afterProfileId: number | undefined; limit: number },
): Promise<number[]> {
  const after = range.afterProfileId ?? -1
  const bucket = range.afterProfileId === undefined ? range.from : range.afterProfileId % 1024
  const rows = await pageOfAll(
    servers,
    range.limit,
    (sql) => sql<{ bucket: number; profile_id: number }[]>`
      select bucket, profile_id from profiles
      where bucket between ${bucket} and ${range.to}
        and (bucket, profile_id) > (${bucket}, ${after})
        and merged_into is null
      order by bucket, profile_id
      limit ${range.limit}`,
    (a, b) => a.bucket - b.bucket || a.profile_id - b.profile_id,
  )
  return rows.map((row) => row.profile_id)
}
