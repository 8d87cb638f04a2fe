// Addresses that are never written to, kept as keyed hashes only. A change leaves a trace in the same statement, so that
// whom it concerns is evaluated again also when the process dies right after it (store/reach.ts).
import type { Channel } from '../schema/jobs.ts'
import type { Queryable } from './sql.ts'

export type SuppressionReason = 'unsubscribed' | 'bounced' | 'complained' | 'manual'

/** False = it was suppressed before, and its first reason stays. */
export async function suppress(
  sql: Queryable,
  entry: { channel: Channel; addressHash: Buffer; reason: SuppressionReason; campaignId?: number },
): Promise<boolean> {
  const changed = await sql`
    with added as (
      insert into suppressions (channel, address_hash, reason, campaign_id)
      values (${entry.channel}, ${entry.addressHash}, ${entry.reason}, ${entry.campaignId ?? null})
      on conflict (channel, address_hash) do nothing
      returning channel, address_hash
    )
    insert into suppression_changes (channel, address_hash)
    select channel, address_hash from added
    on conflict (channel, address_hash) do update set changed_at = clock_timestamp()`
  return changed.count === 1
}

export async function isSuppressed(sql: Queryable, channel: Channel, addressHash: Buffer): Promise<boolean> {
  const rows =
    await sql`select 1 from suppressions where channel = ${channel} and address_hash = ${addressHash}`
  return rows.length > 0
}

export async function liftSuppression(
  sql: Queryable,
  channel: Channel,
  addressHash: Buffer,
): Promise<boolean> {
  const changed = await sql`
    with lifted as (
      delete from suppressions where channel = ${channel} and address_hash = ${addressHash}
      returning channel, address_hash
    )
    insert into suppression_changes (channel, address_hash)
    select channel, address_hash from lifted
    on conflict (channel, address_hash) do update set changed_at = clock_timestamp()`
  return changed.count === 1
}
