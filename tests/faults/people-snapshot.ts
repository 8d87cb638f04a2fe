// What a deployment knows of its people, as lines of text that do not depend on profile numbers, on when things were
// received or on what came first: two deployments that were told the same must give the same lines.
import type { Sql } from '../../store/sql.ts'

export type Snapshot = Record<'events' | 'profiles' | 'sessions' | 'identities' | 'memberships', string[]>

export async function snapshotPeople(sql: Sql): Promise<Snapshot> {
  const identities = await sql<{ profile: number; id: string }[]>`
    select profile_id as profile, kind || ':' || value as id from identities`
  const idsOf = new Map<number, string[]>()
  for (const { profile, id } of identities) {
    const ids = idsOf.get(profile)
    if (ids === undefined) idsOf.set(profile, [id])
    else ids.push(id)
  }
  const nameOf = (profile: number) => (idsOf.get(profile) ?? ['nobody']).sort().join(' ')
  const lines = async (rows: Promise<readonly { profile: number }[]>) =>
    (await rows).map(({ profile, ...row }) => JSON.stringify([nameOf(profile), row])).sort()
  return {
    events: await lines(sql<{ profile: number }[]>`
      select e.profile_id as profile, e.message_id, n.type, n.name, e.time, e.value, e.currency, e.user_id, e.anonymous_id,
        e.properties::text as properties, e.marks
      from events e join event_names n using (event_id)`),
    profiles: await lines(sql<{ profile: number }[]>`
      select profile_id as profile, user_id, first_seen, last_seen, traits::text as traits
      from profiles where merged_into is null`),
    sessions: await lines(sql<{ profile: number }[]>`
      select profile_id as profile, started_at, ended_at, events, first_message_id, device, locale, campaign, landing_page
      from sessions`),
    identities: [...idsOf.keys()].map(nameOf).sort(),
    memberships: await lines(sql<{ profile: number }[]>`
      select m.profile_id as profile, s.slug from memberships m join segments s using (segment_id)`),
  }
}

/** Lines that only one of them has, by table; empty when they agree. */
export function differences(one: Snapshot, other: Snapshot): string[] {
  const found: string[] = []
  for (const table of ['events', 'profiles', 'sessions', 'identities', 'memberships'] as const) {
    const mine = new Set(one[table])
    const theirs = new Set(other[table])
    for (const line of mine) if (!theirs.has(line)) found.push(`${table}: only the first has ${line}`)
    for (const line of theirs) if (!mine.has(line)) found.push(`${table}: only the second has ${line}`)
    if (one[table].length !== other[table].length)
      found.push(`${table}: ${one[table].length} rows and ${other[table].length}`)
  }
  return found
}
