// Finds what was committed but not handed on, and hands it on: changes that were never announced, deliveries and dead
// jobs that nobody holds, and events that the archive had no room for. Each part is bounded; the next sweep goes on.
import { announce } from '../../queues/announce.ts'
import { deadJobIds, readDeadJobs } from '../../queues/dead-jobs.ts'
import { queueNames } from '../../queues/define.ts'
import { deliver, PIPELINE } from '../../queues/pipeline.ts'
import { activeCampaigns, markAnnounced, pendingChangesBefore } from '../../store/announcements.ts'
import { openDeliveries } from '../../store/deliveries.ts'
import { recordFailedEvents, unrecordedKeys } from '../../store/failed-events.ts'
import type { Counts } from '../../store/schedule-runs.ts'
import { deadJobKey, deadJobRow } from '../dead-job.ts'
import type { ScheduleDeps } from './deps.ts'
import { fillArchiveGaps } from './gaps.ts'

/** A change that its own pass is still about to announce is left to it. */
const UNANNOUNCED_MS = 10_000
/** Longer than the longest backoff of a delivery: a job that only waits is not sent again. */
const IDLE_DELIVERY_MS = 600_000
const SLICE = 1_000
/** Payloads of dead jobs may be 100 KB each. */
const DEAD_JOBS_READ = 20
const DEAD_JOBS_LOOKED_AT = 1_000

export async function sweep(deps: ScheduleDeps, signal: AbortSignal): Promise<Counts> {
  const announced = await announceLeftBehind(deps, signal)
  const deliveries = await resendOpenDeliveries(deps)
  const deadJobs = await recordDeadJobs(deps, signal)
  const archived = await fillArchiveGaps(deps, signal)
  return { announced, deliveries, deadJobs, archived }
}

async function announceLeftBehind(deps: ScheduleDeps, signal: AbortSignal): Promise<number> {
  let total = 0
  for (;;) {
    signal.throwIfAborted()
    const before = new Date(deps.clock.now() - UNANNOUNCED_MS)
    const pending = await pendingChangesBefore(deps.sql, before, SLICE)
    if (pending.length === 0) return total
    const announced = await announce(pending, await activeCampaigns(deps.sql), deps)
    await markAnnounced(deps.sql, announced)
    total += announced.length
    if (pending.length < SLICE || announced.length === 0) return total
  }
}

/** The job id follows from the delivery: while its job exists, sending it again changes nothing. */
async function resendOpenDeliveries({ sql, send, depth }: ScheduleDeps): Promise<number> {
  const open = await openDeliveries(sql, { idleMs: IDLE_DELIVERY_MS, limit: SLICE })
  const jobs = open.filter(
    (job) => depth.depthOf(`${deliver.name}-${job.channel}`).waiting <= deliver.budget.maxWaitingJobs,
  )
  await send(deliver, jobs)
  return jobs.length
}

/** Dead jobs are recorded when they die, unless Postgres was away just then. */
async function recordDeadJobs(deps: ScheduleDeps, signal: AbortSignal): Promise<number> {
  const { cache, config, depth, sql } = deps
  let recorded = 0
  for (const contract of PIPELINE.filter((candidate) => candidate.insert.keepFailed)) {
    for (const lane of queueNames(contract, config.shards)) {
      if (depth.depthOf(lane).failed === 0) continue
      const jobIds = await deadJobIds(cache.redis, config.namespace, lane, DEAD_JOBS_LOOKED_AT)
      const missing = new Set(
        await unrecordedKeys(
          sql,
          jobIds.map((jobId) => deadJobKey(lane, jobId)),
        ),
      )
      const unrecorded = jobIds.filter((jobId) => missing.has(deadJobKey(lane, jobId)))
      for (let from = 0; from < unrecorded.length; from += DEAD_JOBS_READ) {
        signal.throwIfAborted()
        const slice = unrecorded.slice(from, from + DEAD_JOBS_READ)
        const jobs = await readDeadJobs(cache.redis, config.namespace, lane, slice)
        recorded += await recordFailedEvents(
          sql,
          jobs.map((job) => deadJobRow({ pool: contract.name, lane, ...job })),
        )
      }
    }
  }
  return recorded
}
