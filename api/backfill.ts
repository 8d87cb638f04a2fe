// After a segment changed: hands every profile to the segment pool. Used by api/segments.ts once the change is committed.
import { sendBackfill } from '../queues/backfill.ts'
import { isInfrastructureError } from '../runtime/errors.ts'
import { profilesOfBuckets } from '../store/memberships.ts'
import { closeBackfill, type SegmentRow } from '../store/segments.ts'
import type { ApiDeps } from './deps.ts'

/** How many profiles are handed on; null = a store was not reachable, and the sweep of the schedule pool will do it. */
export async function evaluateAgain(
  { sql, servers, sender, config, clock, log }: ApiDeps,
  { segmentId, liveVersion, archivedAt }: SegmentRow,
): Promise<number | null> {
  const change = `${archivedAt === null ? 'v' : 'a'}${liveVersion ?? 0}`
  try {
    const named = await sendBackfill(
      {
        send: sender.send,
        readProfiles: (slice) => profilesOfBuckets(servers, slice),
        shards: config.shards,
      },
      { segmentId, change, nowMs: clock.now() },
    )
    await closeBackfill(sql, { segmentId, change })
    return named
  } catch (error) {
    if (!isInfrastructureError(error)) throw error
    log.warn({ segmentId }, 'a backfill was cut off; the sweep will run it again')
    return null
  }
}
