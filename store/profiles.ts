// Reading people: which profile an id means, one profile with its ids and counts, and pages of profiles. Called by the
// API and the dashboard's search; writing is in store/profiles-write.ts.
import { bucketOfProfile } from '../domain/buckets.ts'
import { intArray } from './arrays.ts'
import { pageOfAll, type Servers } from './servers.ts'
import type { Queryable } from './sql.ts'

export type ProfileRow = {
  profileId: number
  userId: string | null
  firstSeen: Date
  lastSeen: Date
  createdAt: Date
  traits: Record<string, unknown>
}

export type IdentityRow = {
  kind: 'user' | 'anonymous'
  value: string
  linkedAt: Date | null
  createdAt: Date
}

/** The profile that a user id means, after all merges; undefined when nobody has it. */
export async function profileIdOfUser(sql: Queryable, userId: string): Promise<number | undefined> {
  const [row] = await sql<{ profile_id: number }[]>`
    select profile_id from identities where kind = 0 and value = ${userId}`
  return row?.profile_id
}

/** The profile that an id of either kind means; a user id comes first. */
export async function profileIdsOfAnyId(sql: Queryable, value: string): Promise<number[]> {
  const rows = await sql<{ profile_id: number }[]>`
    select profile_id from identities where kind in (0, 1) and value = ${value} order by kind`
  return rows.map((row) => row.profile_id)
}

/** User ids of profiles, of those that have one. */
export async function userIdsOf(servers: Servers, profileIds: number[]): Promise<Map<number, string>> {
  const found = new Map<number, string>()
  for (const [sql, own] of Map.groupBy(profileIds, servers.of)) {
    const rows = await sql<{ profile_id: number; user_id: string }[]>`
      select p.profile_id, p.user_id
      from unnest(${intArray(own)}::bigint[]) as ids (profile_id)
      join profiles p on p.bucket = (ids.profile_id & 1023) and p.profile_id = ids.profile_id
      where p.user_id is not null`
    for (const row of rows) found.set(row.profile_id, row.user_id)
  }
  return found
}

/** The profile that a number means today: the winner when it was merged away. A chain is followed to its end. */
export async function survivingProfileId(servers: Servers, profileId: number): Promise<number | undefined> {
  let current = profileId
  for (let step = 0; step < LONGEST_CHAIN; step++) {
    const [row] = await servers.of(current)<{ merged_into: number | null }[]>`
      select merged_into from profiles where bucket = ${current % 1024} and profile_id = ${current}`
    if (row === undefined) return undefined
    if (row.merged_into === null) return current
    current = row.merged_into
  }
  return undefined
}

const LONGEST_CHAIN = 1000

/** One profile that was not merged away. */
export async function readProfile(sql: Queryable, profileId: number): Promise<ProfileRow | undefined> {
  const [row] = await sql<ProfileRow[]>`
    select profile_id as "profileId", user_id as "userId", first_seen as "firstSeen", last_seen as "lastSeen",
      created_at as "createdAt", traits
    from profiles
    where bucket = ${profileId % 1024} and profile_id = ${profileId} and merged_into is null`
  return row
}

/** The ids a profile goes by, users first, then in order of appearance; at most `limit`. */
export async function readIdentitiesOf(
  sql: Queryable,
  profileId: number,
  limit: number,
): Promise<IdentityRow[]> {
  return sql<IdentityRow[]>`
    select case kind when 0 then 'user' else 'anonymous' end as kind, value,
      linked_at as "linkedAt", created_at as "createdAt"
    from identities
    where profile_id = ${profileId}
    order by identities.kind, identities.created_at, value
    limit ${limit}`
}

export type ProfileCounts = {
  events: number
  sessions: number
  identities: number
  segments: number
  deliveries: number
}

/** Every event is in one session, so events are counted over a few session rows instead of over the events. */
export async function countOfProfile(servers: Servers, profileId: number): Promise<ProfileCounts> {
  const bucket = profileId % 1024
  const [ids] = await servers.home<{ identities: number }[]>`
    select count(*)::int as identities from identities where profile_id = ${profileId}`
  const [row] = await servers.of(profileId)<Omit<ProfileCounts, 'identities'>[]>`
    select s.events, s.sessions,
      (select count(*)::int from memberships where bucket = ${bucket} and profile_id = ${profileId} and segment_id > 0) as segments,
      (select count(*)::int from deliveries where bucket = ${bucket} and profile_id = ${profileId}) as deliveries
    from (
      select coalesce(sum(events), 0)::int as events, count(*)::int as sessions
      from sessions
      where bucket = ${bucket} and profile_id = ${profileId}
    ) s`
  return { events: 0, sessions: 0, segments: 0, deliveries: 0, ...row, identities: ids?.identities ?? 0 }
}

/** Profiles in key order (bucket, number) after `after`; `known` = only those with a user id. Needs the primary key. */
export function listProfiles(
  servers: Servers,
  options: { known: boolean; after?: { bucket: number; profileId: number } | undefined; limit: number },
): Promise<ProfileRow[]> {
  const after = options.after ?? { bucket: 0, profileId: -1 }
  return pageOfAll(
    servers,
    options.limit,
    (sql) => sql<ProfileRow[]>`
      select profile_id as "profileId", user_id as "userId", first_seen as "firstSeen", last_seen as "lastSeen",
        created_at as "createdAt", traits
      from profiles
      where bucket >= ${after.bucket}
        and (bucket, profile_id) > (${after.bucket}, ${after.profileId})
        and merged_into is null
        ${options.known ? sql`and user_id is not null` : sql``}
      order by bucket, profile_id
      limit ${options.limit}`,
    inKeyOrder,
  )
}

/** By bucket, then by number. */
function inKeyOrder(a: { profileId: number }, b: { profileId: number }): number {
  return bucketOfProfile(a.profileId) - bucketOfProfile(b.profileId) || a.profileId - b.profileId
}
