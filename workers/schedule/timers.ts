// Due segment timers become `segment` jobs. A loop in every schedule process: a due timer is leased by the statement that
// finds it, so no two send it, and one whose job got lost comes up again when its lease is over. The evaluation moves or
// clears the timer itself. Looks every tick while something is due soon, within a second after timers were written, and
// once a minute otherwise: a deployment at rest asks Postgres for nothing.
import { createHash } from 'node:crypto'
import { readTimerNews } from '../../cache/timer-news.ts'
import { shardName, shardOfProfile } from '../../domain/buckets.ts'
import { segment } from '../../queues/pipeline.ts'
import { describeError } from '../../runtime/errors.ts'
import { untilStep } from '../../runtime/rhythm.ts'
import type { TouchedUsers } from '../../schema/jobs.ts'
import { nextLeaseEnd, nextTimer, takeDueTimers } from '../../store/memberships.ts'
import { recordRun } from '../../store/schedule-runs.ts'
import type { Sql } from '../../store/sql.ts'
import type { ScheduleDeps } from './deps.ts'
import { onEveryServer } from './every-server.ts'

const LEASE_MS = 10_000
const MAX_A_TICK = 5_000
/** A window that lapses so soon after it was written ends no later than this: a look at the news is one read of Redis. */
const IDLE_MS = 1_000
/** Without news of written timers: for those whose word was lost. */
const PATIENCE_MS = 60_000
/** A job id is free again after this, even if a failed job still holds the one before. */
const ID_MS = 600_000

export type Timers = { stop(): Promise<void> }

export function startTimers(deps: ScheduleDeps): Timers {
  const stopping = new AbortController()
  const turn = timerTurns(deps)
  let isDown = false

  const loop = async () => {
    while (!stopping.signal.aborted) {
      let waitMs = IDLE_MS
      try {
        waitMs = await turn()
        isDown = false
      } catch (error) {
        if (!isDown) deps.log.warn({ reason: describeError(error) }, 'segment timers wait for a store')
        isDown = true
      }
      await pause(waitMs < IDLE_MS ? waitMs : untilStep(IDLE_MS), stopping.signal)
    }
  }
  const running = loop()
  return {
    async stop() {
      stopping.abort()
      await running
    },
  }
}

/** Turns of the loop: each looks where there is reason to, and returns how long to wait before the next (ms). */
export function timerTurns(deps: ScheduleDeps): () => Promise<number> {
  let seenNews: string | undefined
  let lookAt = 0
  return async () => {
    // Read before the look: what is written meanwhile is news again.
    const news = await readTimerNews(deps.cache)
    const now = deps.clock.now()
    if (news !== undefined && news === seenNews && now < lookAt) return Math.min(IDLE_MS, lookAt - now)
    const { due, nextInMs } = await tick(deps)
    lookAt = now + Math.min(PATIENCE_MS, nextInMs)
    seenNews = news
    return due >= MAX_A_TICK ? 0 : Math.max(deps.config.scheduleTickMs, Math.min(IDLE_MS, nextInMs))
  }
}

/** One look. `due`: the timers found; `nextInMs`: until the next one may be taken, Infinity when there is none. */
export async function tick(deps: ScheduleDeps): Promise<{ due: number; nextInMs: number }> {
  const now = deps.clock.now()
  let due = 0
  let next = Infinity
  await onEveryServer(deps.servers, async (sql) => {
    due += await sendDue(sql, now, deps)
    // One after the other: at rest this is all there is for Postgres, and a second connection costs it another process.
    for (const at of [await nextTimer(sql), await nextLeaseEnd(sql, now)])
      next = Math.min(next, at ?? Infinity)
  })
  return { due, nextInMs: Math.max(0, next - now) }
}

/** Returns how many were due on this server. */
async function sendDue(sql: Sql, now: number, deps: ScheduleDeps): Promise<number> {
  const profileIds = await takeDueTimers(sql, now, { leaseMs: LEASE_MS, limit: MAX_A_TICK })
  if (profileIds.length === 0) return 0
  const batches = timedBatches(profileIds, now, deps.config.shards).filter((batch) => hasRoom(deps, batch))
  await deps.send(segment, batches)
  await recordRun(deps.sql, {
    task: 'segment-timers',
    startedAt: new Date(now),
    counts: { due: profileIds.length, jobs: batches.length },
  })
  deps.metrics.scheduleRuns.inc({ task: 'segment-timers', outcome: 'done' })
  return profileIds.length
}

/** One message a shard. The same people found again while the first message waits make the same job. */
function timedBatches(profileIds: number[], now: number, shards: number): TouchedUsers[] {
  const byShard = Map.groupBy(profileIds, (profileId) => shardOfProfile(profileId, shards))
  return [...byShard].map(([shard, ids]) => {
    const sorted = ids.sort((a, b) => a - b)
    const digest = createHash('sha256').update(sorted.join(',')).digest('hex').slice(0, 16)
    return {
      v: 1 as const,
      batchId: `time-${Math.floor(now / ID_MS)}-${digest}`,
      shard,
      reason: 'time' as const,
      profileIds: sorted,
      receivedAt: now,
    }
  })
}

/** A shard that is over its budget finds its timers due again when their lease is over. */
function hasRoom({ depth }: ScheduleDeps, batch: TouchedUsers): boolean {
  return depth.depthOf(`${segment.name}-${shardName(batch.shard)}`).waiting <= segment.budget.maxWaitingJobs
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
