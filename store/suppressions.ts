// Addresses that are never written to, kept as keyed hashes only.
import type { Channel } from '../schema/jobs.ts'
import type { Queryable } from './sql.ts'

export type SuppressionReason = 'unsubscribed' | 'bounced' | 'complained' | 'manual'

export async function suppress(
  sql: Queryable,
  entry: { channel: Channel; addressHash: Buffer; reason: SuppressionReason; campaignId?: number },
): Promise<boolean> {
  const inserted = await sql`
    insert into suppressions (channel, address_hash, reason, campaign_id)
    values (${entry.channel}, ${entry.addressHash}, ${entry.reason}, ${entry.campaignId ?? null})
    on conflict (channel, address_hash) do nothing`
  return inserted.count === 1
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
  const deleted =
    await sql`delete from suppressions where channel = ${channel} and address_hash = ${addressHash}`
  return deleted.count === 1
}
