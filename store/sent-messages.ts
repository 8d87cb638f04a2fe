// Messages that Millrace has sent to the people of a pass, as events that rules count: one statement on their own server,
// and before it one at home for whom they were before a merge, as deliveries stay with the profile they were made for.
import { CAMPAIGN_PROPS, SENT } from '../domain/segments/contact-events.ts'
import type { Occurrence } from '../domain/segments/facts.ts'
import type { Input } from '../domain/segments/inputs.ts'
import { intArray } from './arrays.ts'
import type { Queryable } from './sql.ts'

export type SentScope = {
  home: Queryable
  /** The server with the rows of a profile. */
  of: (profileId: number) => Queryable
  profileIds: number[]
  /** The earliest instant that is asked for. */
  asOfMs: number
}

/** By profile, ascending by time; nothing is read when no input asks. */
export async function readSentMessages(
  inputs: Input[],
  { home, of, profileIds, asOfMs }: SentScope,
): Promise<Map<number, Occurrence[]>> {
  const found = new Map<number, Occurrence[]>()
  if (inputs.length === 0 || profileIds.length === 0) return found
  const sinceMs = inputs.reduce((least, { lastMs }) => Math.min(least, asOfMs - (lastMs ?? Infinity)), asOfMs)
  const owners = [
    ...profileIds.map((profileId) => ({ profileId, ownerId: profileId })),
    ...(await readLosers(home, profileIds)),
  ]
  const rows: Row[] = []
  for (const [sql, own] of Map.groupBy(owners, ({ profileId }) => of(profileId)))
    rows.push(...(await readSentOn(sql, own, sinceMs)))
  const names = inputs.some(({ props }) => props.includes(CAMPAIGN_PROPS[1]))
    ? await readCampaignNames(home, rows)
    : new Map<number, string>()
  for (const row of rows.sort((a, b) => a.sent_ms - b.sent_ms)) {
    const event = occurrenceOf(row, names)
    const known = found.get(row.owner_id)
    if (known === undefined) found.set(row.owner_id, [event])
    else known.push(event)
  }
  return found
}

type Owned = { profileId: number; ownerId: number }

/** Profiles that were merged into one of these, also by a detour. */
async function readLosers(home: Queryable, profileIds: number[]): Promise<Owned[]> {
  return home<Owned[]>`
    with recursive ids (owner_id, profile_id) as (
      select id, id from unnest(${intArray(profileIds)}::bigint[]) as given (id)
      union
      select ids.owner_id, m.loser_id
      from ids
      join profile_merges m on m.winner_id = ids.profile_id and m.anonymous_id is null
    )
    select owner_id as "ownerId", profile_id as "profileId" from ids where profile_id <> owner_id`
}

type Row = { owner_id: number; campaign_id: number; channel: string; sent_ms: number }

/** A look into the index on (profile_id, created_at) a profile, in the partition of its bucket. */
async function readSentOn(sql: Queryable, owned: Owned[], sinceMs: number): Promise<Row[]> {
  return sql<Row[]>`
    select ids.owner_id, d.campaign_id, d.channel, d.sent_ms
    from unnest(${intArray(owned.map((one) => one.ownerId))}::bigint[], ${intArray(owned.map((one) => one.profileId))}::bigint[])
      as ids (owner_id, profile_id)
    cross join lateral (
      select campaign_id, channel, floor(date_part('epoch', sent_at) * 1000)::bigint as sent_ms
      from deliveries
      where bucket = (ids.profile_id & 1023) and profile_id = ids.profile_id and state = 'sent'
        ${Number.isFinite(sinceMs) ? sql`and sent_at > at_ms(${sinceMs})` : sql``}
      offset 0
    ) d`
}

async function readCampaignNames(home: Queryable, rows: Row[]): Promise<Map<number, string>> {
  const ids = [...new Set(rows.map((row) => row.campaign_id))]
  if (ids.length === 0) return new Map()
  const names = await home<{ campaign_id: number; name: string }[]>`
    select campaign_id, name from campaigns where campaign_id = any(${intArray(ids)}::int[])`
  return new Map(names.map((row) => [row.campaign_id, row.name]))
}

function occurrenceOf(row: Row, names: Map<number, string>): Occurrence {
  const props = {
    campaign_id: row.campaign_id,
    campaign_name: names.get(row.campaign_id),
    channel: row.channel,
  }
  return { type: SENT.type, name: SENT.event, time: row.sent_ms, value: null, currency: null, props }
}
