// Names people who were woken (store/wake.ts) to the segment pool at once, so that nothing waits for the clock to find their
// timers. A message a shard.
import { createHash } from 'node:crypto'
import { shardOfProfile } from '../domain/buckets.ts'
import { segment } from './pipeline.ts'
import type { Send } from './sender.ts'

/** Throws what Redis throws; the timers are there all the same. */
export async function sendWoken(
  send: Send<typeof segment>,
  { profileIds, shards, nowMs }: { profileIds: number[]; shards: number; nowMs: number },
): Promise<void> {
  const byShard = Map.groupBy(profileIds, (profileId) => shardOfProfile(profileId, shards))
  const batches = [...byShard].map(([shard, ids]) => ({
    v: 1 as const,
    batchId: `wake-${nowMs.toString(36)}-${createHash('sha256').update(ids.join()).digest('hex').slice(0, 16)}`,
    shard,
    reason: 'event' as const,
    profileIds: ids,
    receivedAt: nowMs,
  }))
  if (batches.length > 0) await send(segment, batches)
}
