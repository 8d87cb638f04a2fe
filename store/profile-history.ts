// What one profile did and was sent: its events and deliveries, newest first, in keyset pages. Called by the API.
import type { ChangeMetric } from '../schema/change-metric.ts'
import { intArray } from './arrays.ts'
import type { Servers } from './servers.ts'
import type { Queryable } from './sql.ts'

export type EventOfProfile = {
  messageId: string
  type: string
  /** Event name of a track, page or screen name; '' otherwise. */
  event: string
  time: Date
  receivedAt: Date
  sourceId: number
  userId: string | null
  anonymousId: string | null
  /** Minor units of `currency`. */
  value: number | null
  currency: string | null
  properties: Record<string, unknown>
  context: Record<string, unknown> | null
}

/** Events of a profile, newest first, after the (time, message id) of `after`. Prunes to the profile's bucket range. */
export async function listEventsOf(
  servers: Servers,
  profileId: number,
  options: {
    after?: { timeMs: number; messageId: string } | undefined
    event?: string | undefined
    limit: number
  },
): Promise<EventOfProfile[]> {
  const { after, event } = options
  const sql = servers.of(profileId)
  const named = event === undefined ? undefined : await numbersOfName(servers.home, event)
  const rows = await sql<(Omit<EventOfProfile, 'type' | 'event'> & { eventId: number })[]>`
    select e.message_id as "messageId", e.event_id as "eventId", e.time, e.received_at as "receivedAt",
      e.source_id as "sourceId", e.user_id as "userId", e.anonymous_id as "anonymousId",
      e.value, e.currency, e.properties, e.envelope -> 'context' as context
    from events e
    where e.bucket = ${profileId % 1024} and e.profile_id = ${profileId}
      ${
        after === undefined
          ? sql``
          : sql`and (e.time, e.message_id) < (${new Date(after.timeMs)}, ${after.messageId})`
      }
      ${named === undefined ? sql`` : sql`and e.event_id = any(${intArray(named)}::smallint[])`}
    order by e.time desc, e.message_id desc
    limit ${options.limit}`
  const names = await namesOf(servers.home, new Set(rows.map((row) => row.eventId)))
  return rows.map(({ eventId, ...row }) => ({ ...row, ...(names.get(eventId) ?? { type: '', event: '' }) }))
}

async function numbersOfName(home: Queryable, name: string): Promise<number[]> {
  const rows = await home<{ event_id: number }[]>`select event_id from event_names where name = ${name}`
  return rows.map((row) => row.event_id)
}

async function namesOf(
  home: Queryable,
  eventIds: Set<number>,
): Promise<Map<number, { type: string; event: string }>> {
  const rows = await home<{ event_id: number; type: string; name: string }[]>`
    select event_id, type, name from event_names where event_id = any(${intArray([...eventIds])}::smallint[])`
  return new Map(rows.map((row) => [row.event_id, { type: row.type, event: row.name }]))
}

export type DeliveryOfProfile = {
  deliveryKey: string
  channel: string
  campaignId: number
  state: string
  attempt: number
  reason: string | null
  createdAt: Date
  sentAt: Date | null
}

/** Deliveries to a profile, newest first. Needs the index on (profile_id, created_at). */
export async function listDeliveriesOf(
  sql: Queryable,
  profileId: number,
  options: { after?: { createdMs: number; deliveryKey: string } | undefined; limit: number },
): Promise<DeliveryOfProfile[]> {
  const { after } = options
  return sql<DeliveryOfProfile[]>`
    select delivery_key as "deliveryKey", channel, campaign_id as "campaignId", state, attempt, reason,
      created_at as "createdAt", sent_at as "sentAt"
    from (
      select *, date_trunc('milliseconds', created_at) as created_ms
      from deliveries
      where bucket = ${profileId % 1024} and profile_id = ${profileId}
    ) d
    ${after === undefined ? sql`` : sql`where (created_ms, delivery_key) < (${new Date(after.createdMs)}, ${after.deliveryKey})`}
    order by created_ms desc, delivery_key desc
    limit ${options.limit}`
}

export type ChangeOfProfile = {
  changeId: number
  segmentId: number
  op: 'enter' | 'exit'
  reason: string
  version: number
  effectiveAt: Date
  recordedAt: Date
  metrics: ChangeMetric[] | null
}

/** Entries and exits of a profile, newest first, before the change of that number. Reads the changes of its bucket. */
export async function listChangesOf(
  sql: Queryable,
  profileId: number,
  options: { beforeChangeId?: number | undefined; limit: number },
): Promise<ChangeOfProfile[]> {
  const { beforeChangeId, limit } = options
  return sql<ChangeOfProfile[]>`
    select change_id as "changeId", segment_id as "segmentId", op, reason, version,
      effective_at as "effectiveAt", recorded_at as "recordedAt", metrics
    from membership_changes
    where bucket = ${profileId % 1024} and profile_id = ${profileId}
      ${beforeChangeId === undefined ? sql`` : sql`and change_id < ${beforeChangeId}`}
    order by change_id desc
    limit ${limit}`
}

/** Slugs of segments, archived ones too. */
export async function slugsOf(home: Queryable, segmentIds: number[]): Promise<Map<number, string>> {
  const rows = await home<{ segment_id: number; slug: string }[]>`
    select segment_id, slug from segments where segment_id = any(${intArray(segmentIds)}::int[])`
  return new Map(rows.map((row) => [row.segment_id, row.slug]))
}
