// Merges what waits for a shard into one pass: a busy user is evaluated once a pass, however many jobs name it. Each job
// is acknowledged after the pass that holds its profiles is committed and its changes are announced.

import { writeMemberships } from '../../cache/memberships.ts'
import { announce } from '../../queues/announce.ts'
import type { deliver } from '../../queues/pipeline.ts'
import { type Coalescer, coalesce } from '../../runtime/coalesce.ts'
import type { TouchedUsers } from '../../schema/jobs.ts'
import { activeCampaigns, markAnnounced, pendingChangesOf } from '../../store/announcements.ts'
import type { PoolDeps } from '../define.ts'
import { createSegmentCatalog, runPass } from './pass.ts'

const MAX_PROFILES_A_PASS = 5000
const GATHER_MS = 30
/** Under load the passes of one shard start at most this often, so that they grow instead of multiplying. */
const MIN_PASS_INTERVAL_MS = 200

type Deps = PoolDeps<typeof deliver>
export type Segmenter = { add(batch: TouchedUsers): Promise<void>; close(): Promise<void> }

export function openSegmenter(deps: Deps): Segmenter {
  const catalog = createSegmentCatalog()
  const shards = new Map<number, Coalescer<TouchedUsers>>()

  const openShard = (shard: number): Coalescer<TouchedUsers> => {
    let lastStart = 0
    return coalesce<TouchedUsers>({
      maxWeight: MAX_PROFILES_A_PASS,
      maxWaitMs: GATHER_MS,
      parallel: 1,
      flush: async (batches) => {
        const wait = lastStart + MIN_PASS_INTERVAL_MS - Date.now()
        if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
        lastStart = Date.now()
        await pass(deps, catalog, shard, batches)
      },
    })
  }

  return {
    add(batch) {
      let coalescer = shards.get(batch.shard)
      if (coalescer === undefined) {
        coalescer = openShard(batch.shard)
        shards.set(batch.shard, coalescer)
      }
      return coalescer.add(batch, batch.profileIds.length)
    },
    async close() {
      await Promise.all([...shards.values()].map((coalescer) => coalescer.close()))
    },
  }
}

async function pass(
  deps: Deps,
  catalog: ReturnType<typeof createSegmentCatalog>,
  shard: number,
  batches: TouchedUsers[],
): Promise<void> {
  const reasons = mergeReasons(batches)
  const result = await runPass(deps.sql, catalog, {
    shard,
    shards: deps.config.shards,
    reasons,
    clock: deps.clock,
  })
  for (const change of result.changes)
    deps.metrics.membershipChanges.inc({ op: change.op, reason: change.reason })
  const profileIds = [...reasons.keys()]
  // Also the changes that an earlier attempt committed: found by their missing announced_at (law 2).
  const pending = await pendingChangesOf(deps.sql, profileIds)
  if (pending.length > 0) {
    const announced = await announce(pending, await activeCampaigns(deps.sql), deps)
    await markAnnounced(deps.sql, announced)
  }
  await writeMemberships(deps.cache, result.asOfMs, result.memberships)
  const now = deps.clock.now()
  for (const batch of batches) {
    if (batch.reason === 'event')
      deps.metrics.membershipSeconds.observe(Math.max(0, now - batch.receivedAt) / 1000)
  }
}

/** The reason a change is put down to: an event explains more than a timer, a merge more than either. */
const RANK = ['backfill', 'rule_changed', 'time', 'late', 'event', 'merged', 'erased']

function mergeReasons(batches: TouchedUsers[]): Map<number, TouchedUsers['reason']> {
  const reasons = new Map<number, TouchedUsers['reason']>()
  for (const batch of batches) {
    for (const profileId of batch.profileIds) {
      const known = reasons.get(profileId)
      if (known === undefined || RANK.indexOf(batch.reason) > RANK.indexOf(known))
        reasons.set(profileId, batch.reason)
    }
  }
  return reasons
}
