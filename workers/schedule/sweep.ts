// Finds what was committed but not handed on, and hands it on: changes that were never announced, deliveries and dead
// jobs that nobody holds, runs that nobody began or that stand still, people whom a suppression concerns, events that the
// archive had no room for, and jobs of shards that are no more. Each part is bounded; the next sweep goes on.
import { tellTimers } from '../../cache/timer-news.ts'
import { announce } from '../../queues/announce.ts'
import { deliver } from '../../queues/pipeline.ts'
import { moveRetiredJobs } from '../../queues/retired-lanes.ts'
import { sendChunk, startRuns } from '../../queues/segment-runs.ts'
import { activeCampaigns, markAnnounced, pendingChangesBefore } from '../../store/announcements.ts'
import { openDeliveries } from '../../store/deliveries.ts'
import { forgetDecisions } from '../../store/joint-transaction.ts'
import { forgetAskedAddresses, wakeForSuppressions } from '../../store/reach.ts'
import type { Counts } from '../../store/schedule-runs.ts'
import { clearShadow } from '../../store/segment-difference.ts'
import { dropShadow, overdueShadows } from '../../store/segment-drafts.ts'
import { runDueSchedules } from '../../store/segment-run-reads.ts'
import { segmentRuns } from '../../store/segment-runs.ts'
import { mostShards } from '../../store/shard-map.ts'
import type { Sql } from '../../store/sql.ts'
import { recordDeadJobs } from '../dead-jobs.ts'
import type { ScheduleDeps } from './deps.ts'
import { beginDriftAtZero } from './drift.ts'
import { onEveryServer } from './every-server.ts'
import { fillArchiveGaps } from './gaps.ts'

/** A change that its own pass is still about to announce is left to it. */
const UNANNOUNCED_MS = 10_000
/** Longer than the longest backoff of a delivery: a job that only waits is not sent again. */
const IDLE_DELIVERY_MS = 600_000
/** A chunk of a run that is evaluated, or waits, for so long is sent again; while its job waits that changes nothing. */
const IDLE_CHUNK_MS = 60_000
/** As with changes: who suppressed an address is still about to wake whom it concerns. */
const IDLE_SUPPRESSION_MS = 10_000
const SLICE = 1_000

/** A part that fails, because one of several servers is away, keeps none of the others; its failure is thrown at the end. */
export async function sweep(deps: ScheduleDeps, signal: AbortSignal): Promise<Counts> {
  const failures: unknown[] = []
  const part = (work: Promise<number>) =>
    work.catch((error: unknown) => {
      failures.push(error)
      return 0
    })
  const counts = {
    announced: await part(announceLeftBehind(deps, signal)),
    deliveries: await part(resendOpenDeliveries(deps)),
    deadJobs: await part(recordLostDeadJobs(deps, signal)),
    chunks: await part(goOnWithRuns(deps, signal)),
    shadows: await part(giveUpWaysBack(deps)),
    woken: await part(wakeLeftBehind(deps)),
    archived: await part(fillArchiveGaps(deps, signal)),
    resharded: await part(moveJobsOfRetiredShards(deps)),
  }
  await part(beginDriftAtZero(deps).then(() => 0))
  if (deps.servers.all.length > 1) await part(forgetDecisions(deps.servers).then(() => 0))
  if (failures.length > 0) throw failures[0]
  return counts
}

async function announceLeftBehind(deps: ScheduleDeps, signal: AbortSignal): Promise<number> {
  let total = 0
  await onEveryServer(deps.servers, async (sql) => {
    total += await announceOn(sql, deps, signal)
  })
  return total
}

async function announceOn(sql: Sql, deps: ScheduleDeps, signal: AbortSignal): Promise<number> {
  let total = 0
  for (;;) {
    signal.throwIfAborted()
    const before = new Date(deps.clock.now() - UNANNOUNCED_MS)
    const pending = await pendingChangesBefore(sql, before, SLICE)
    if (pending.length === 0) return total
    const announced = await announce(pending, await activeCampaigns(deps.sql), deps)
    await markAnnounced(sql, announced)
    total += announced.length
    if (pending.length < SLICE || announced.length === 0) return total
  }
}

/** The job id follows from the delivery: while its job exists, sending it again changes nothing. */
async function resendOpenDeliveries({ servers, send, depth }: ScheduleDeps): Promise<number> {
  let total = 0
  await onEveryServer(servers, async (sql) => {
    const open = await openDeliveries(sql, { idleMs: IDLE_DELIVERY_MS, limit: SLICE })
    const jobs = open.filter(
      (job) => depth.depthOf(`${deliver.name}-${job.channel}`).waiting <= deliver.budget.maxWaitingJobs,
    )
    await send(deliver, jobs)
    total += jobs.length
  })
  return total
}

/** Counts the parts that a chunk is sent of. */
async function goOnWithRuns(
  { sql, servers, send, config, clock }: ScheduleDeps,
  signal: AbortSignal,
): Promise<number> {
  const runs = segmentRuns(servers)
  const deps = { send, runs, shards: config.shards, nowMs: clock.now() }
  await runDueSchedules(sql, deps.nowMs)
  let parts = await startRuns(deps)
  for (const part of await runs.idle(IDLE_CHUNK_MS)) {
    signal.throwIfAborted()
    await sendChunk(deps, part)
    parts += 1
  }
  return parts
}

async function giveUpWaysBack({ sql, servers }: ScheduleDeps): Promise<number> {
  const overdue = await overdueShadows(sql)
  for (const segmentId of overdue) {
    await dropShadow(sql, segmentId)
    await clearShadow(servers, segmentId)
  }
  return overdue.length
}

/** Whom a change of a suppression concerns, and nobody has woken yet. */
async function wakeLeftBehind({ sql, servers, cache }: ScheduleDeps): Promise<number> {
  const woken = await wakeForSuppressions(servers, { idleMs: IDLE_SUPPRESSION_MS })
  if (woken.length > 0) await tellTimers(cache)
  await forgetAskedAddresses(sql)
  return woken.length
}

/** What a process that still counted more shards has sent to queues that nobody works on any more. */
async function moveJobsOfRetiredShards({ cache, config, send, sql }: ScheduleDeps): Promise<number> {
  const { namespace, shards } = config
  const most = await mostShards(sql)
  return most > shards ? moveRetiredJobs({ redis: cache.redis, namespace, send, shards, most }) : 0
}

/** Dead jobs are recorded when they die, unless Postgres was away just then. */
async function recordLostDeadJobs(
  { cache, config, depth, sql }: ScheduleDeps,
  signal: AbortSignal,
): Promise<number> {
  const isAnyDead = [...(await depth.fresh()).lanes.values()].some((lane) => lane.failed > 0)
  if (!isAnyDead) return 0
  const { namespace, shards } = config
  return recordDeadJobs({ redis: cache.redis, namespace, shards, sql, signal })
}
