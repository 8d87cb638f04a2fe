// What deliver does that rules ask about: a message that was sent, an address that was found to take none. Whom it concerns
// is woken in Postgres; the clock hands them to the segment pool, as deliver sends to no queue.
import { tellTimers } from '../../cache/timer-news.ts'
import { sentInputs } from '../../domain/segments/asked.ts'
import type { QueueContract } from '../../queues/define.ts'
import { survivingProfileId } from '../../store/profiles.ts'
import { wakeForSuppressions } from '../../store/reach.ts'
import { wakeProfiles } from '../../store/wake.ts'
import type { PoolDeps } from '../define.ts'
import type { SegmentCatalog } from '../live-segments.ts'

type Deps = PoolDeps<QueueContract>

/**
 * After the delivery is recorded as sent, also when an earlier attempt has recorded it: a rule that this look does not see
 * goes live after it, and its backfill finds the row.
 */
export async function wakeForSent(
  { sql, servers, cache }: Deps,
  catalog: SegmentCatalog,
  sentTo: number,
): Promise<void> {
  const plans = (await catalog.current(sql)).segments.map((segment) => segment.plan)
  if (sentInputs(plans).length === 0) return
  const profileId = await survivingProfileId(servers, sentTo)
  if (profileId === undefined) return
  await wakeProfiles(servers, [profileId])
  await tellTimers(cache)
}

export async function wakeForBounce({ servers, cache }: Deps): Promise<void> {
  const profileIds = await wakeForSuppressions(servers, { idleMs: 0 })
  if (profileIds.length > 0) await tellTimers(cache)
}
