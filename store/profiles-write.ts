// Writing profiles and sessions for a group of events: set-wise, in the group's transaction. Reading for the API is in
// store/profiles.ts.
import type { Session } from '../domain/sessions.ts'
import type { TraitCall } from '../domain/trait-since.ts'
import type { TraitState } from '../domain/traits.ts'
import { intArray, textArray } from './arrays.ts'
import type { Transaction } from './sql.ts'

export type NewProfileRow = {
  profileId: number
  bucket: number
  firstId: string
  userId: string | undefined
  firstSeen: number
  lastSeen: number
}

export async function insertProfiles(tx: Transaction, profiles: NewProfileRow[]): Promise<void> {
  if (profiles.length === 0) return
  await tx`
    insert into profiles (bucket, profile_id, first_id, user_id, first_seen, last_seen)
    select bucket, profile_id, first_id, user_id, at_ms(first_seen), at_ms(last_seen) from unnest(
      ${intArray(profiles.map((p) => p.bucket))}::smallint[], ${intArray(profiles.map((p) => p.profileId))}::bigint[],
      ${textArray(profiles.map((p) => p.firstId))}::text[], ${textArray(profiles.map((p) => p.userId ?? null))}::text[],
      ${intArray(profiles.map((p) => p.firstSeen))}::bigint[], ${intArray(profiles.map((p) => p.lastSeen))}::bigint[])
      as p (bucket, profile_id, first_id, user_id, first_seen, last_seen)`
}

/** Locks the profiles until the end of the transaction, in order of their numbers; returns the user id of each that is there. */
export async function lockProfiles(
  tx: Transaction,
  profileIds: number[],
): Promise<Map<number, string | null>> {
  const rows = await tx<{ profile_id: number; user_id: string | null }[]>`
    select p.profile_id, p.user_id
    from unnest(${intArray(profileIds)}::bigint[]) as ids (profile_id)
    join profiles p on p.bucket = (ids.profile_id & 1023) and p.profile_id = ids.profile_id
    order by p.profile_id
    for update of p`
  return new Map(rows.map((row) => [row.profile_id, row.user_id]))
}

/** Locks them too, and says whether all of them are there and still anonymous. */
export async function lockAnonymous(tx: Transaction, profileIds: number[]): Promise<boolean> {
  const users = await lockProfiles(tx, profileIds)
  return profileIds.every((profileId) => users.get(profileId) === null)
}

/** A profile that was anonymous gets its user id; one that has one keeps it. */
export async function setUserIds(
  tx: Transaction,
  users: { profileId: number; userId: string }[],
): Promise<void> {
  if (users.length === 0) return
  await tx`
    update profiles p set user_id = u.user_id
    from unnest(${intArray(users.map((u) => u.profileId))}::bigint[], ${textArray(users.map((u) => u.userId))}::text[]) as u (profile_id, user_id)
    where p.bucket = (u.profile_id & 1023) and p.profile_id = u.profile_id and p.user_id is null`
}

/**
 * Widens first and last seen of the touched profiles. It also locks their rows until commit, which is what makes the
 * session step safe against a concurrent group of the same people: always runs before it, in order of profile number.
 * False = one of them is not there yet: the group that made it is about to commit on this server.
 */
export async function touchProfiles(
  tx: Transaction,
  seen: { profileId: number; first: number; last: number }[],
): Promise<boolean> {
  if (seen.length === 0) return true
  const sorted = [...seen].sort((a, b) => a.profileId - b.profileId)
  const touched = await tx`
    update profiles p
    set first_seen = least(p.first_seen, at_ms(s.first)), last_seen = greatest(p.last_seen, at_ms(s.last))
    from unnest(
      ${intArray(sorted.map((s) => s.profileId))}::bigint[], ${intArray(sorted.map((s) => s.profileId % 1024))}::smallint[],
      ${intArray(sorted.map((s) => s.first))}::bigint[], ${intArray(sorted.map((s) => s.last))}::bigint[])
      as s (profile_id, bucket, first, last)
    where p.bucket = s.bucket and p.profile_id = s.profile_id`
  return touched.count === seen.length
}

/** Stored traits of profiles; their rows are locked already by touchProfiles. */
export async function readTraits(tx: Transaction, profileIds: number[]): Promise<Map<number, TraitState>> {
  const rows = await tx<
    { profile_id: number; traits: TraitState['traits']; trait_times: TraitState['times'] }[]
  >`
    select p.profile_id, p.traits, p.trait_times
    from profiles p
    join unnest(${intArray(profileIds)}::bigint[]) as ids (profile_id) on p.bucket = (ids.profile_id & 1023) and p.profile_id = ids.profile_id`
  return new Map(rows.map((row) => [row.profile_id, { traits: row.traits, times: row.trait_times }]))
}

/**
 * All identify calls of these profiles, also those of this transaction. `eventIds` = the numbers of identify. An aggregate inside: always one look into the events' key a profile, also without statistics.
 */
export async function readTraitCalls(
  tx: Transaction,
  profileIds: number[],
  eventIds: number[],
): Promise<Map<number, TraitCall[]>> {
  const rows = await tx<{ profile_id: number; calls: TraitCall[] }[]>`
    select ids.profile_id, found.calls
    from unnest(${intArray(profileIds)}::bigint[]) as ids (profile_id)
    cross join lateral (
      select json_agg(json_build_object(
        'traits', e.properties, 'timeMs', round(date_part('epoch', e.time) * 1000)::bigint, 'messageId', e.message_id)) as calls
      from events e
      where e.profile_id = ids.profile_id and e.bucket = (ids.profile_id & 1023)
        and e.event_id = any(${intArray(eventIds)}::smallint[])
    ) found
    where found.calls is not null`
  return new Map(rows.map((row) => [row.profile_id, row.calls]))
}

export async function writeTraits(tx: Transaction, states: Map<number, TraitState>): Promise<void> {
  if (states.size === 0) return
  const ids = [...states.keys()]
  await tx`
    update profiles p
    set traits = t.traits::jsonb, trait_times = t.times::jsonb
    from unnest(
      ${intArray(ids)}::bigint[], ${textArray([...states.values()].map((s) => JSON.stringify(s.traits)))}::text[],
      ${textArray([...states.values()].map((s) => JSON.stringify(s.times)))}::text[]) as t (profile_id, traits, times)
    where p.bucket = (t.profile_id & 1023) and p.profile_id = t.profile_id`
}

export type SessionPiece = Session & { profileId: number }

/**
 * The common case in one statement: a piece that continues the profile's latest session lengthens it. At most one piece
 * a profile. Returns the profiles that this was right for; the others go through reading, merging and writing.
 */
export async function extendLatestSessions(tx: Transaction, pieces: SessionPiece[]): Promise<Set<number>> {
  if (pieces.length === 0) return new Set()
  const rows = await tx<{ profile_id: number }[]>`
    update sessions s
    set ended_at = greatest(s.ended_at, at_ms(piece.ended_at)), events = s.events + piece.events, closed_at = null
    from unnest(
      ${intArray(pieces.map((p) => p.profileId))}::bigint[], ${intArray(pieces.map((p) => p.profileId % 1024))}::smallint[],
      ${intArray(pieces.map((p) => p.startedAt))}::bigint[], ${intArray(pieces.map((p) => p.endedAt))}::bigint[],
      ${intArray(pieces.map((p) => p.events))}::int[]) as piece (profile_id, bucket, started_at, ended_at, events)
    cross join lateral (
      select x.started_at from sessions x
      where x.bucket = piece.bucket and x.profile_id = piece.profile_id
      order by x.started_at desc limit 1
    ) latest
    where s.bucket = piece.bucket and s.profile_id = piece.profile_id and s.started_at = latest.started_at
      and at_ms(piece.started_at) > s.started_at
      and at_ms(piece.started_at) <= s.ended_at + interval '30 minutes'
    returning s.profile_id`
  return new Set(rows.map((row) => row.profile_id))
}

/** Stored sessions that a piece touches (within 30 minutes): those starting near it, and the one running into it. */
export async function readNearSessions(tx: Transaction, pieces: SessionPiece[]): Promise<SessionPiece[]> {
  if (pieces.length === 0) return []
  const rows = await tx<
    {
      profile_id: number
      started_at: Date
      ended_at: Date
      events: number
      first_message_id: string
      device: string | null
      locale: string | null
      campaign: string | null
      landing_page: string | null
      country: string | null
    }[]
  >`
    select distinct on (s.profile_id, s.started_at)
      s.profile_id, s.started_at, s.ended_at, s.events, s.first_message_id, s.device, s.locale, s.campaign, s.landing_page, s.country
    from (
      select profile_id, bucket, at_ms(started_at) as started_at, at_ms(ended_at) as ended_at from unnest(
      ${intArray(pieces.map((p) => p.profileId))}::bigint[], ${intArray(pieces.map((p) => p.profileId % 1024))}::smallint[],
      ${intArray(pieces.map((p) => p.startedAt))}::bigint[], ${intArray(pieces.map((p) => p.endedAt))}::bigint[])
      as piece (profile_id, bucket, started_at, ended_at)) piece
    cross join lateral (
      select * from sessions
      where bucket = piece.bucket and profile_id = piece.profile_id
        and started_at between piece.started_at - interval '30 minutes' and piece.ended_at + interval '30 minutes'
      union all
      (select * from sessions
       where bucket = piece.bucket and profile_id = piece.profile_id
         and started_at < piece.started_at - interval '30 minutes'
       order by started_at desc limit 1)
    ) s
    where s.ended_at >= piece.started_at - interval '30 minutes'`
  return rows.map((row) => ({
    profileId: row.profile_id,
    startedAt: row.started_at.getTime(),
    endedAt: row.ended_at.getTime(),
    events: row.events,
    firstMessageId: row.first_message_id,
    landing: {
      ...(row.device === null ? {} : { device: row.device }),
      ...(row.locale === null ? {} : { locale: row.locale }),
      ...(row.campaign === null ? {} : { campaign: row.campaign }),
      ...(row.landing_page === null ? {} : { page: row.landing_page }),
      ...(row.country === null ? {} : { country: row.country }),
    },
  }))
}

export async function deleteSessions(
  tx: Transaction,
  sessions: { profileId: number; startedAt: number }[],
): Promise<void> {
  if (sessions.length === 0) return
  await tx`
    delete from sessions s
    using unnest(
      ${intArray(sessions.map((s) => s.profileId))}::bigint[], ${intArray(sessions.map((s) => s.profileId % 1024))}::smallint[],
      ${intArray(sessions.map((s) => s.startedAt))}::bigint[]) as gone (profile_id, bucket, started_at)
    where s.bucket = gone.bucket and s.profile_id = gone.profile_id and s.started_at = at_ms(gone.started_at)`
}

/** Writes whole sessions; one that grew is open again until the next closing. */
export async function upsertSessions(tx: Transaction, sessions: SessionPiece[]): Promise<void> {
  if (sessions.length === 0) return
  await tx`
    insert into sessions (bucket, profile_id, started_at, ended_at, events, first_message_id, device, locale, campaign, landing_page, country)
    select bucket, profile_id, at_ms(started_at), at_ms(ended_at), events, first_message_id, device, locale, campaign, landing_page, country
    from unnest(
      ${intArray(sessions.map((s) => s.profileId % 1024))}::smallint[], ${intArray(sessions.map((s) => s.profileId))}::bigint[],
      ${intArray(sessions.map((s) => s.startedAt))}::bigint[], ${intArray(sessions.map((s) => s.endedAt))}::bigint[],
      ${intArray(sessions.map((s) => s.events))}::int[], ${textArray(sessions.map((s) => s.firstMessageId))}::text[],
      ${textArray(sessions.map((s) => s.landing.device ?? null))}::text[], ${textArray(sessions.map((s) => s.landing.locale ?? null))}::text[],
      ${textArray(sessions.map((s) => s.landing.campaign ?? null))}::text[], ${textArray(sessions.map((s) => s.landing.page ?? null))}::text[],
      ${textArray(sessions.map((s) => s.landing.country ?? null))}::text[])
      as s (bucket, profile_id, started_at, ended_at, events, first_message_id, device, locale, campaign, landing_page, country)
    on conflict (bucket, profile_id, started_at) do update
    set ended_at = excluded.ended_at, events = excluded.events, first_message_id = excluded.first_message_id,
      device = excluded.device, locale = excluded.locale, campaign = excluded.campaign,
      landing_page = excluded.landing_page, country = excluded.country, closed_at = null`
}
