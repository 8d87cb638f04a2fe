// After a segment changed: hands every profile to the segment pool. Used by api/segments.ts once the change is committed.
import { sendBackfill } from '../queues/backfill.ts'
import { profilesOfBuckets } from '../store/memberships.ts'
import type { SegmentRow } from '../store/segments.ts'
import type { ApiDeps } from './deps.ts'

/** Profiles that are to be evaluated again. */
export function evaluateAgain(
  { sql, sender, config, clock }: ApiDeps,
  segment: SegmentRow,
  reason: 'backfill' | 'rule_changed',
): Promise<number> {
  const version = segment.liveVersion ?? 0
  return sendBackfill(
    {
      send: sender.send,
      readProfiles: (slice) => profilesOfBuckets(sql, slice),
      shards: config.shards,
    },
    {
      segmentId: segment.segmentId,
      change: segment.archivedAt === null ? `v${version}` : `a${version}`,
      reason,
      nowMs: clock.now(),
    },
  )
}
