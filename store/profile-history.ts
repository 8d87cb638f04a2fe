// What one profile did and was sent: its events and deliveries, newest first, in keyset pages. Called by the API.
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
  sql: Queryable,
  profileId: number,
  options: {
    after?: { timeMs: number; messageId: string } | undefined
    event?: string | undefined
    limit: number
  },
): Promise<EventOfProfile[]> {
  const { after } = options
  return sql<EventOfProfile[]>`
    select e.message_id as "messageId", n.type, n.name as event, e.time, e.received_at as "receivedAt",
      e.source_id as "sourceId", e.user_id as "userId", e.anonymous_id as "anonymousId",
      e.value, e.currency, e.properties, e.envelope -> 'context' as context
    from events e
    join event_names n using (event_id)
    where e.bucket = ${profileId % 1024} and e.profile_id = ${profileId}
      ${
        after === undefined
          ? sql``
          : sql`and (e.time, e.message_id) < (${new Date(after.timeMs)}, ${after.messageId})`
      }
      ${options.event === undefined ? sql`` : sql`and e.event_id in (select event_id from event_names where name = ${options.event})`}
    order by e.time desc, e.message_id desc
    limit ${options.limit}`
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

export type MembershipOfProfile = {
  segmentId: number
  slug: string
  name: string
  version: number
  enteredAt: Date
}

/** The live segments a profile is in, by slug. */
export async function listMembershipsOf(sql: Queryable, profileId: number): Promise<MembershipOfProfile[]> {
  return sql<MembershipOfProfile[]>`
    select m.segment_id as "segmentId", s.slug, s.name, m.version, m.entered_at as "enteredAt"
    from memberships m
    join segments s using (segment_id)
    where m.bucket = ${profileId % 1024} and m.profile_id = ${profileId} and s.archived_at is null
    order by s.slug`
}
