// After a segment or a list changed: hands every profile to the segment pool. Used by api/segments.ts and api/lists.ts once
// the change is committed.
import { sendBackfill } from '../queues/backfill.ts'
import { isInfrastructureError } from '../runtime/errors.ts'
import { closeBackfill, type OpenBackfill } from '../store/backfills.ts'
import { profilesOfBuckets } from '../store/memberships.ts'
import type { ApiDeps } from './deps.ts'

/** How many profiles are handed on; null = a store was not reachable, and the sweep of the schedule pool will do it. */
export async function evaluateAgain(
  { sql, servers, sender, config, clock, log }: ApiDeps,
  open: OpenBackfill,
): Promise<number | null> {
  try {
    const named = await sendBackfill(
      {
        send: sender.send,
        readProfiles: (slice) => profilesOfBuckets(servers, slice),
        shards: config.shards,
      },
      { ...open, nowMs: clock.now() },
    )
    await closeBackfill(sql, open)
    return named
  } catch (error) {
    if (!isInfrastructureError(error)) throw error
    log.warn({ ...open }, 'a backfill was cut off; the sweep will run it again')
    return null
  }
}
