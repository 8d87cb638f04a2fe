// Writing profiles and sessions for a group of events: set-wise, in the group's transaction. Reading for the API is in
// store/profiles.ts.
import type { Session } from '../domain/sessions.ts'
import type { TraitState } from '../domain/traits.ts'
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
    select * from unnest(
      ${profiles.map((p) => p.bucket)}::smallint[], ${profiles.map((p) => p.profileId)}::bigint[],
      ${profiles.map((p) => p.firstId)}::text[], ${profiles.map((p) => p.userId ?? null)}::text[],
      ${profiles.map((p) => iso(p.firstSeen))}::timestamptz[], ${profiles.map((p) => iso(p.lastSeen))}::timestamptz[])`
}

/** A profile that was anonymous gets its user id; one that has one keeps it. */
export async function setUserIds(
  tx: Transaction,
  users: { profileId: number; userId: string }[],
): Promise<void> {
  if (users.length === 0) return
  await tx`
    update profiles p set user_id = u.user_id
    from unnest(${users.map((u) => u.profileId)}::bigint[], ${users.map((u) => u.userId)}::text[]) as u (profile_id, user_id)
    where p.bucket = (u.profile_id & 1023) and p.profile_id = u.profile_id and p.user_id is null`
}

/**
 * Widens first and last seen of the touched profiles. It also locks their rows until commit, which is what makes the
 * session step safe against a concurrent group of the same people: always runs before it, in order of profile number.
 */
export async function touchProfiles(
  tx: Transaction,
  seen: { profileId: number; first: number; last: number }[],
): Promise<void> {
  if (seen.length === 0) return
  const sorted = [...seen].sort((a, b) => a.profileId - b.profileId)
  await tx`
    update profiles p
    set first_seen = least(p.first_seen, s.first), last_seen = greatest(p.last_seen, s.last)
    from unnest(
      ${sorted.map((s) => s.profileId)}::bigint[], ${sorted.map((s) => s.profileId % 1024)}::smallint[],
      ${sorted.map((s) => iso(s.first))}::timestamptz[], ${sorted.map((s) => iso(s.last))}::timestamptz[])
      as s (profile_id, bucket, first, last)
    where p.bucket = s.bucket and p.profile_id = s.profile_id`
}

/** Stored traits of profiles; their rows are locked already by touchProfiles. */
export async function readTraits(tx: Transaction, profileIds: number[]): Promise<Map<number, TraitState>> {
  const rows = await tx<
    { profile_id: number; traits: TraitState['traits']; trait_times: TraitState['times'] }[]
  >`
    select p.profile_id, p.traits, p.trait_times
    from profiles p
    join unnest(${profileIds}::bigint[]) as ids (profile_id) on p.bucket = (ids.profile_id & 1023) and p.profile_id = ids.profile_id`
  return new Map(rows.map((row) => [row.profile_id, { traits: row.traits, times: row.trait_times }]))
}

export async function writeTraits(tx: Transaction, states: Map<number, TraitState>): Promise<void> {
  if (states.size === 0) return
  const ids = [...states.keys()]
  await tx`
    update profiles p
    set traits = t.traits::jsonb, trait_times = t.times::jsonb
    from unnest(
      ${ids}::bigint[], ${[...states.values()].map((s) => JSON.stringify(s.traits))}::text[],
      ${[...states.values()].map((s) => JSON.stringify(s.times))}::text[]) as t (profile_id, traits, times)
    where p.bucket = (t.profile_id & 1023) and p.profile_id = t.profile_id`
}

export type SessionPiece = Session & { profileId: number }

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
    from unnest(
      ${pieces.map((p) => p.profileId)}::bigint[], ${pieces.map((p) => p.profileId % 1024)}::smallint[],
      ${pieces.map((p) => iso(p.startedAt))}::timestamptz[], ${pieces.map((p) => iso(p.endedAt))}::timestamptz[])
      as piece (profile_id, bucket, started_at, ended_at)
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
      device: row.device ?? undefined,
      locale: row.locale ?? undefined,
      campaign: row.campaign ?? undefined,
      page: row.landing_page ?? undefined,
      country: row.country ?? undefined,
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
      ${sessions.map((s) => s.profileId)}::bigint[], ${sessions.map((s) => s.profileId % 1024)}::smallint[],
      ${sessions.map((s) => iso(s.startedAt))}::timestamptz[]) as gone (profile_id, bucket, started_at)
    where s.bucket = gone.bucket and s.profile_id = gone.profile_id and s.started_at = gone.started_at`
}

/** Writes whole sessions; one that grew is open again until the next closing. */
export async function upsertSessions(tx: Transaction, sessions: SessionPiece[]): Promise<void> {
  if (sessions.length === 0) return
  await tx`
    insert into sessions (bucket, profile_id, started_at, ended_at, events, first_message_id, device, locale, campaign, landing_page, country)
    select * from unnest(
      ${sessions.map((s) => s.profileId % 1024)}::smallint[], ${sessions.map((s) => s.profileId)}::bigint[],
      ${sessions.map((s) => iso(s.startedAt))}::timestamptz[], ${sessions.map((s) => iso(s.endedAt))}::timestamptz[],
      ${sessions.map((s) => s.events)}::int[], ${sessions.map((s) => s.firstMessageId)}::text[],
      ${sessions.map((s) => s.landing.device ?? null)}::text[], ${sessions.map((s) => s.landing.locale ?? null)}::text[],
      ${sessions.map((s) => s.landing.campaign ?? null)}::text[], ${sessions.map((s) => s.landing.page ?? null)}::text[],
      ${sessions.map((s) => s.landing.country ?? null)}::text[])
    on conflict (bucket, profile_id, started_at) do update
    set ended_at = excluded.ended_at, events = excluded.events, first_message_id = excluded.first_message_id,
      device = excluded.device, locale = excluded.locale, campaign = excluded.campaign,
      landing_page = excluded.landing_page, country = excluded.country, closed_at = null`
}

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString()
}
