// Has every profile evaluated again after a rule came, changed or went, or a list that one asks about changed: names all of them to their shards, a slice a
// job. Called by the API after the change is committed, and by the sweep for what was cut off; evaluating twice is safe,
// so a backfill that did not end simply runs again.
import { bucketsOfShard } from '../domain/buckets.ts'
import { segment } from './pipeline.ts'
import type { Send } from './sender.ts'

/** A pass takes up to 5,000 profiles: a slice leaves room for the live ones that wait beside it. */
const PROFILES_A_JOB = 2_000

export type Backfill = {
  /** Number of the segment or list. */
  id: number
  /**
   * Of a segment: `v2` = version 2 came, `a2` = it was archived then. Of a list: `l5` = it became its version 5. Part of the job ids, so that a slice of one change is one job
   * while it waits; and what entries and exits are put down to follows from it. Campaigns fire on neither reason.
   */
  change: string
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
  const reason = backfill.change === 'v1' ? 'backfill' : 'rule_changed'
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
          batchId: `bf-${backfill.id}-${backfill.change}-${first}`,
          shard,
          reason,
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
