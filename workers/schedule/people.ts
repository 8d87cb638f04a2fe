// What the clock does for people, one bucket range after the other: sessions that fell silent are closed, and the
// aggregates of the last 30 days are computed anew.
import { BUCKET_RANGES } from '../../domain/buckets.ts'
import { SESSION_GAP_MS } from '../../domain/sessions.ts'
import { recomputeAggregates } from '../../store/aggregates.ts'
import { readEventIds } from '../../store/histories.ts'
import type { Counts } from '../../store/schedule-runs.ts'
import { closeSessions } from '../../store/sessions-close.ts'
import type { ScheduleDeps } from './deps.ts'

const ORDER = 'Order Completed'

export async function closeSilentSessions(
  { servers, clock }: ScheduleDeps,
  signal: AbortSignal,
): Promise<Counts> {
  const now = clock.now()
  let closed = 0
  for (let range = 0; range < BUCKET_RANGES; range++) {
    signal.throwIfAborted()
    closed += await closeSessions(
      servers.ofRange(range),
      range,
      new Date(now - SESSION_GAP_MS),
      new Date(now),
    )
  }
  return { closed }
}

export async function recomputeUserAggregates(
  { sql, servers, clock }: ScheduleDeps,
  signal: AbortSignal,
): Promise<Counts> {
  const asOf = new Date(clock.now())
  const named = await readEventIds(sql, [{ type: 'track', event: ORDER }])
  const orderIds = [...named.values()].flat().map((one) => one.eventId)
  const counts = { computed: 0, dropped: 0 }
  for (let range = 0; range < BUCKET_RANGES; range++) {
    signal.throwIfAborted()
    const { computed, dropped } = await recomputeAggregates(servers.ofRange(range), {
      range,
      asOf,
      orderIds,
    })
    counts.computed += computed
    counts.dropped += dropped
  }
  return counts
}
