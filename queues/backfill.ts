// Has every profile evaluated again after a rule came, changed or went: names all of them to their shards, a slice a
// job. Called by the API after the change is committed; evaluating twice is safe, so a backfill may simply run again.
import { bucketsOfShard } from '../domain/buckets.ts'
import { segment } from './pipeline.ts'
import type { Send } from './sender.ts'

/** A pass takes up to 5,000 profiles: a slice leaves room for the live ones that wait beside it. */
const PROFILES_A_JOB = 2_000

export type Backfill = {
  segmentId: number
  /** What changed; part of the job ids, so that the same slice of the same change is one job while it waits. */
  change: string
  /** What entries and exits found by it are put down to; campaigns do not fire on either unless told to. */
  reason: 'backfill' | 'rule_changed'
  nowMs: number
}

/** Reads the next profiles of a bucket range in key order, from behind `afterProfileId` (undefined = from the start). */
export type ReadProfiles = (slice: {
  from: number
  to: number
  afterProfileId: number | undefined
  limit: number
}) => Promise<number[]>

/** Sends the jobs and returns how many profiles they name. Throws what the stores throw; then some may be sent. */
export async function sendBackfill(
  deps: { send: Send<typeof segment>; readProfiles: ReadProfiles; shards: number },
  backfill: Backfill,
): Promise<number> {
  let named = 0
  for (let shard = 0; shard < deps.shards; shard++) {
    const buckets = bucketsOfShard(shard, deps.shards)
    let afterProfileId: number | undefined
    for (;;) {
      const profileIds = await deps.readProfiles({ ...buckets, afterProfileId, limit: PROFILES_A_JOB })
      const [first] = profileIds
      if (first === undefined) break
      await deps.send(segment, [
        {
          v: 1,
          batchId: `bf-${backfill.segmentId}-${backfill.change}-${first}`,
          shard,
          reason: backfill.reason,
          profileIds,
          receivedAt: backfill.nowMs,
        },
      ])
      named += profileIds.length
      afterProfileId = profileIds.at(-1)
      if (profileIds.length < PROFILES_A_JOB) break
    }
  }
  return named
}
