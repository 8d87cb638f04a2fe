// Deliveries: one row a message and channel, claimed before it is sent. `attempt` is raised by every claim and fences
// out late writers; `sending` is committed before the provider is called, so that a worker that dies in between leaves
// a trace: the outcome of that attempt is unknown, and it is not sent again.
import type { Channel, DeliveryJob } from '../schema/jobs.ts'
import { pageOfAll, type Servers } from './servers.ts'
import type { Queryable } from './sql.ts'

export const DELIVERY_STATES = [
  'claimed',
  'sending',
  'waiting',
  'sent',
  'failed',
  'skipped',
  'suppressed',
  'unknown',
] as const
export type DeliveryState = (typeof DELIVERY_STATES)[number]
export type Claim =
  | { kind: 'claimed'; attempt: number }
  | { kind: 'finished'; state: DeliveryState }
  | { kind: 'busy'; freeInMs: number }
  | { kind: 'abandoned'; attempt: number }

/** The row's key: the job's key and its channel. */
export function deliveryRowKey(job: DeliveryJob): string {
  return `${job.deliveryKey}-${job.channel}`
}

/** Claims a delivery for `leaseMs`, or says why not. */
export async function claimDelivery(
  sql: Queryable,
  job: DeliveryJob,
  options: { leaseMs: number },
): Promise<Claim> {
  const key = deliveryRowKey(job)
  const bucket = job.profileId % 1024
  const lease = sql`clock_timestamp() + ${options.leaseMs} * interval '1 millisecond'`
  const [claimed] = await sql<{ attempt: number }[]>`
    insert into deliveries as d (bucket, delivery_key, channel, campaign_id, profile_id, change_id, state, attempt, lease_until)
    values (${bucket}, ${key}, ${job.channel}, ${job.campaignId}, ${job.profileId}, ${job.changeId}, 'claimed', 1, ${lease})
    on conflict (bucket, delivery_key) do update
    set state = 'claimed', attempt = d.attempt + 1, lease_until = excluded.lease_until, updated_at = clock_timestamp()
    where d.state = 'waiting'
      or (d.state = 'claimed' and d.lease_until < clock_timestamp())
    returning attempt`
  if (claimed !== undefined) return { kind: 'claimed', attempt: claimed.attempt }
  const [row] = await sql<{ state: DeliveryState; attempt: number; free_in_ms: number }[]>`
    select state, attempt, (extract(epoch from lease_until - clock_timestamp()) * 1000)::float8 as free_in_ms
    from deliveries where bucket = ${bucket} and delivery_key = ${key}`
  if (row === undefined) return { kind: 'busy', freeInMs: 100 }
  if (row.state !== 'claimed' && row.state !== 'sending') return { kind: 'finished', state: row.state }
  if (row.free_in_ms > 0) return { kind: 'busy', freeInMs: row.free_in_ms }
  return row.state === 'sending'
    ? { kind: 'abandoned', attempt: row.attempt }
    : { kind: 'busy', freeInMs: 100 }
}

/**
 * Moves a delivery on; only the holder of the newest claim can. False = another attempt has taken over, and what this
 * one did must not be recorded over it.
 */
export async function recordDelivery(
  sql: Queryable,
  job: DeliveryJob,
  update: {
    attempt: number
    state: DeliveryState
    reason?: string | undefined
    providerMessageId?: string | undefined
  },
): Promise<boolean> {
  const updated = await sql`
    update deliveries
    set state = ${update.state}, reason = ${update.reason ?? null}, updated_at = clock_timestamp(),
      provider_message_id = coalesce(${update.providerMessageId ?? null}, provider_message_id),
      sent_at = case when ${update.state} = 'sent' then clock_timestamp() else sent_at end
    where bucket = ${job.profileId % 1024} and delivery_key = ${deliveryRowKey(job)}
      and attempt = ${update.attempt} and state in ('claimed', 'sending')`
  return updated.count === 1
}

export type DeliveryRow = {
  deliveryKey: string
  channel: Channel
  campaignId: number
  profileId: number
  state: DeliveryState
  attempt: number
  reason: string | null
  /** Microseconds: with the key, the exact place in the list. */
  createdMicros: number
  sentAt: Date | null
}

/** Deliveries, newest first, before a (time, key) pair. Needs the index on (created_at, delivery_key). */
export function listDeliveries(
  servers: Servers,
  options: {
    campaignId?: number | undefined
    state?: DeliveryState | undefined
    channel?: Channel | undefined
    before?: { createdMicros: number; deliveryKey: string } | undefined
    limit: number
  },
): Promise<DeliveryRow[]> {
  const { campaignId, state, channel, before } = options
  return pageOfAll(
    servers,
    options.limit,
    (sql) => sql<DeliveryRow[]>`
      select delivery_key as "deliveryKey", channel, campaign_id as "campaignId", profile_id as "profileId", state, attempt,
        reason, (extract(epoch from created_at) * 1000000)::bigint as "createdMicros", sent_at as "sentAt"
      from deliveries
      where true
        ${campaignId === undefined ? sql`` : sql`and campaign_id = ${campaignId}`}
        ${state === undefined ? sql`` : sql`and state = ${state}`}
        ${channel === undefined ? sql`` : sql`and channel = ${channel}`}
        ${
          before === undefined
            ? sql``
            : sql`and (created_at, delivery_key) < (timestamptz 'epoch' + ${before.createdMicros}::bigint * interval '1 microsecond', ${before.deliveryKey})`
        }
      order by created_at desc, delivery_key desc
      limit ${options.limit}`,
    (a, b) => b.createdMicros - a.createdMicros || (a.deliveryKey < b.deliveryKey ? 1 : -1),
  )
}

type DeliveryCount = { channel: Channel; state: DeliveryState; count: number }

/** How many deliveries are in which state, by channel. */
export async function countDeliveries(servers: Servers): Promise<DeliveryCount[]> {
  const counts = await Promise.all(
    servers.all.map(
      (sql) => sql<DeliveryCount[]>`
        select channel, state, count(*)::int as count from deliveries group by channel, state order by channel, state`,
    ),
  )
  const summed = new Map<string, DeliveryCount>()
  for (const one of counts.flat()) {
    const key = `${one.channel} ${one.state}`
    summed.set(key, { ...one, count: one.count + (summed.get(key)?.count ?? 0) })
  }
  return [...summed].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one)
}

/** Deliveries that are not finished and that nobody holds: their job may be gone. */
export async function openDeliveries(
  sql: Queryable,
  options: { idleMs: number; limit: number },
): Promise<DeliveryJob[]> {
  const rows = await sql<
    { delivery_key: string; channel: Channel; campaign_id: number; profile_id: number; change_id: number }[]
  >`
    select delivery_key, channel, campaign_id, profile_id, change_id
    from deliveries
    where state in ('claimed', 'sending', 'waiting')
      and updated_at < clock_timestamp() - ${options.idleMs} * interval '1 millisecond'
    order by updated_at
    limit ${options.limit}`
  return rows.map((row) => ({
    v: 1,
    channel: row.channel,
    deliveryKey: row.delivery_key.slice(0, -row.channel.length - 1),
    campaignId: row.campaign_id,
    profileId: row.profile_id,
    changeId: row.change_id,
  }))
}
