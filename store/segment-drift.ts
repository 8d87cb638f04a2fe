// What the drift gauge reads and keeps: whom to look at next, whose memberships differ from what the rules say from scratch,
// and the rows of those that did. Called by workers/schedule/drift.ts; rows are read by the API.
import type { Rule } from '../schema/rule.ts'
import { intArray } from './arrays.ts'
import { type MembersInput, membersStatement, type Places } from './segment-sql/members.ts'
import { pageOfAll, type Servers } from './servers.ts'
import type { Queryable } from './sql.ts'

export type LiveRule = { segmentId: number; slug: string; version: number; rule: Rule; isAtRest: boolean }

/**
 * Rules of all live segments. Not at rest = changed since `sinceMs`, or people are still being evaluated for the change, or it
 * refers to lists or segments while any of these is not at rest.
 */
export async function liveRules(home: Queryable, sinceMs: number): Promise<LiveRule[]> {
  return home<LiveRule[]>`
    with run as (
      select segment_ids from segment_runs
      where state in ('waiting', 'running') or finished_at > at_ms(${sinceMs})
    ), moving as (
      select s.segment_id
      from segments s
      join segment_versions v on v.segment_id = s.segment_id and v.version = s.live_version
      where v.created_at > at_ms(${sinceMs}) or s.archived_at > at_ms(${sinceMs})
        or exists (select from run where s.segment_id = any(run.segment_ids))
    ), is_any as (
      select exists (select from moving) or exists (select from lists where updated_at > at_ms(${sinceMs})) as moving
    )
    select s.segment_id as "segmentId", s.slug, v.version, v.rule,
      not (
        exists (select from moving m where m.segment_id = s.segment_id)
        or (is_any.moving and jsonb_path_exists(v.rule, '$.** ? (@.k == "segment" || @.k == "list")'))
      ) as "isAtRest"
    from segments s
    join segment_versions v on v.segment_id = s.segment_id and v.version = s.live_version
    cross join is_any
    where s.archived_at is null
    order by s.segment_id`
}

type Range = { from: number; to: number }

/** Merged ones too: they must be in no segment. In key order (bucket, number), after `after` or from the beginning. */
export async function profilesAfter(
  servers: Servers,
  { from, to }: Range,
  after: number | undefined,
  limit: number,
): Promise<number[]> {
  const [bucket, number] = after === undefined ? [from, -1] : [after % 1024, after]
  const rows = await pageOfAll(
    servers,
    limit,
    (sql) => sql<{ bucket: number; profile_id: number }[]>`
      select bucket, profile_id from profiles
      where bucket between ${bucket} and ${to} and (bucket, profile_id) > (${bucket}, ${number})
      order by bucket, profile_id
      limit ${limit}`,
    (a, b) => a.bucket - b.bucket || a.profile_id - b.profile_id,
  )
  return rows.map((row) => row.profile_id)
}

/** In one bucket, out of which the others can be guessed: people are spread over them by a hash. */
export async function countProfiles(servers: Servers, bucket: number): Promise<number> {
  const [row] = await servers.of(bucket)<{ n: number }[]>`
    select count(*)::int as n from profiles where bucket = ${bucket}`
  return row?.n ?? 0
}

/** `touches` changes with every event of theirs that is stored, and every entry and exit. */
export type Mismatch = {
  profileId: number
  segmentId: number
  expected: boolean
  touches: string
  touchedAtMs: number
}

/**
 * Whose membership differs from what the rule says at `atMs`: in one statement, so of one snapshot. Whose timer is due is left
 * out: time has already changed what the engine is still to look at.
 */
export async function findMismatches(
  places: Places,
  {
    segmentId,
    rule,
    rules,
    profileIds,
    atMs,
  }: Omit<MembersInput, 'asks'> & { segmentId: number; profileIds: number[]; atMs: number },
): Promise<Mismatch[]> {
  if (profileIds.length === 0) return []
  const asks = profileIds.map((profileId) => ({ profileId, atMs }))
  const { statement } = await membersStatement(places, { rule, rules, asks })
  const { sql } = places
  return sql<Mismatch[]>`
    with wrong as (
      select ids.profile_id, found."profileId" is not null as expected
      from unnest(${intArray(profileIds)}::bigint[]) as ids (profile_id)
      left join (${statement}) found on found."profileId" = ids.profile_id
      left join memberships m on m.bucket = (ids.profile_id & 1023) and m.profile_id = ids.profile_id and m.segment_id = ${segmentId}
      where (found."profileId" is null) <> (m.profile_id is null)
        and not exists (
          select from segment_timers t
          where t.bucket = (ids.profile_id & 1023) and t.profile_id = ids.profile_id and t.wake_at <= at_ms(${atMs})
        )
    )
    select w.profile_id as "profileId", ${segmentId}::int as "segmentId", w.expected,
      concat_ws('/', e.events, (select max(c.change_id) from membership_changes c where c.profile_id = w.profile_id)) as touches,
      coalesce(round(extract(epoch from e.received_at) * 1000), 0)::bigint as "touchedAtMs"
    from wrong w
    cross join lateral (
      select count(*) as events, max(e.received_at) as received_at from events e
      where e.profile_id = w.profile_id and e.bucket = (w.profile_id & 1023)
    ) e`
}

/** Of these, who took in somebody else since an instant. */
export async function mergedSince(
  home: Queryable,
  profileIds: number[],
  sinceMs: number,
): Promise<Set<number>> {
  const rows = await home<{ winner_id: number }[]>`
    select distinct winner_id from profile_merges
    where winner_id = any(${intArray(profileIds)}::bigint[]) and merged_at > at_ms(${sinceMs})`
  return new Set(rows.map((row) => row.winner_id))
}

/** Who was looked at last, by shard; a reshard makes the places wrong, which costs nothing but a new beginning. */
export type Cursor = Record<string, number>

export async function readCursor(home: Queryable): Promise<Cursor> {
  const [row] = await home<
    { value: Cursor }[]
  >`select value from settings where name = 'segment_drift_cursor'`
  return row?.value ?? {}
}

export async function writeCursor(home: Queryable, cursor: Cursor): Promise<void> {
  await home`
    insert into settings (name, value) values ('segment_drift_cursor', ${home.json(cursor)})
    on conflict (name) do update set value = excluded.value`
}

export type Drift = {
  driftId: number
  segmentId: number
  slug: string
  version: number
  profileId: number
  asOf: Date
  expected: boolean
  stored: boolean
  rule: Rule
  foundAt: Date
}

export async function recordDrift(
  home: Queryable,
  found: { segmentId: number; version: number; profileId: number; expected: boolean }[],
  asOfMs: number,
): Promise<void> {
  if (found.length === 0) return
  await home`
    insert into segment_drift (segment_id, version, profile_id, as_of, expected, stored, rule)
    select f.segment_id, f.version, f.profile_id, at_ms(${asOfMs}), f.expected = 1, f.expected = 0, v.rule
    from unnest(${intArray(found.map((one) => one.segmentId))}::int[], ${intArray(found.map((one) => one.version))}::int[],
      ${intArray(found.map((one) => one.profileId))}::bigint[], ${intArray(found.map((one) => Number(one.expected)))}::int[]
    ) as f (segment_id, version, profile_id, expected)
    join segment_versions v on v.segment_id = f.segment_id and v.version = f.version`
}

/** Newest first; `beforeId` = the last one of the page before. */
export async function listDrift(
  home: Queryable,
  { beforeId, limit }: { beforeId: number; limit: number },
): Promise<Drift[]> {
  return home<Drift[]>`
    select d.drift_id as "driftId", d.segment_id as "segmentId", s.slug, d.version, d.profile_id as "profileId",
      d.as_of as "asOf", d.expected, d.stored, d.rule, d.found_at as "foundAt"
    from segment_drift d
    join segments s on s.segment_id = d.segment_id
    where d.drift_id < ${beforeId}
    order by d.drift_id desc
    limit ${limit}`
}

export async function deleteDriftBefore(home: Queryable, before: Date): Promise<number> {
  const deleted = await home`delete from segment_drift where found_at < ${before}`
  return deleted.count
}
