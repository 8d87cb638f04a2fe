// Which profiles a group touched, as one message a shard and reason. Ids are derived from the group's jobs, so that the
// same group sent again is the same job while the first one waits.
import { createHash } from 'node:crypto'
import { shardOfProfile } from '../../domain/buckets.ts'
import { segment } from '../../queues/pipeline.ts'
import type { NormalBatch } from '../../schema/event.ts'
import type { TouchedUsers } from '../../schema/jobs.ts'
import type { Touched } from './keep.ts'

/** Arguments of `send`: the queue and its messages. */
export function touchedBatches(
  batches: NormalBatch[],
  all: Touched[],
  shards: number,
): [typeof segment, TouchedUsers[]] {
  const group = createHash('sha256')
  let receivedAt = Number.POSITIVE_INFINITY
  for (const batch of batches) {
    group.update(batch.batchId)
    for (const event of batch.events) if (event.receivedAt < receivedAt) receivedAt = event.receivedAt
  }
  const groupId = group.digest('hex').slice(0, 24)
  const messages: TouchedUsers[] = []
  const byReason = Map.groupBy(all, (touched) => touched.reason)
  for (const [reason, list] of byReason) {
    for (const [shard, touched] of Map.groupBy(list, (one) => shardOfProfile(one.profileId, shards))) {
      messages.push({
        v: 1,
        batchId: `${groupId}-${reason}`,
        shard,
        reason,
        profileIds: touched.map((one) => one.profileId),
        eventIds: touched.map((one) => one.eventIds),
        receivedAt,
      })
    }
  }
  return [segment, messages]
}
