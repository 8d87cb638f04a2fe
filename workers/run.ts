// The executor: the only place that knows BullMQ's Worker. For every job: wait for the gate, decode, check, start the
// time limit, handle, map the closed outcomes, record. A pool gets one Worker a lane and one shared connection.
//
//   return              -> done (removed)
//   PermanentError      -> dead letter now
//   RetryLater(ms)      -> delayed, no attempt spent
//   infrastructure      -> delayed with capped jitter, no attempt spent, however long it lasts
//   anything else       -> retry with capped jitter, dead letter after the last attempt
import { DelayedError, type Job, type Telemetry, UnrecoverableError } from 'bullmq'
import { Compile } from 'typebox/compile'
import { decodePayload } from '../queues/codec.ts'
import type { RedisClient } from '../queues/connection.ts'
import { type QueueContract, queueNames, queuePrefix } from '../queues/define.ts'
import type { DepthSampler } from '../queues/depth.ts'
import { RestingWorker } from '../queues/resting-worker.ts'
import { isHalfOfSuspect, type Sender } from '../queues/sender.ts'
import { describeError, fail, isInfrastructureError, PermanentError, RetryLater } from '../runtime/errors.ts'
import { beginAtZero } from '../runtime/instruments.ts'
import type { Service } from '../runtime/lifecycle.ts'
import type { Log } from '../runtime/log.ts'
import type { JobInfo, OpenPool, Pool, PoolDeps } from './define.ts'
import { type LaneProgress, trackProgress } from './progress.ts'
import { createQuarantine, type Quarantine } from './quarantine.ts'
import { withTimeLimit } from './time-limit.ts'

/** Called once when a job is given up for good: writes what it held where it can be seen and replayed. */
export type OnDead = (dead: {
  pool: string
  lane: string
  jobId: string
  payload: unknown
  reason: string
}) => Promise<void>

export type RunOptions = {
  connection: RedisClient
  deps: Omit<PoolDeps<QueueContract>, 'send' | 'concurrency'>
  sender: Sender
  onDead: OnDead
  telemetry?: Telemetry | undefined
  /** Overrides the pool's own concurrency. */
  concurrency?: number
  /** Of the process, when it runs other pools too. */
  quarantine?: Quarantine
}

export type RunningPool = Service & { lanes: string[]; progress: LaneProgress }

/**
 * After this many stalls a job is a suspect: it may be what kills its process. It is retried as two halves where it can
 * be, each of them a suspect from its first stall on; suspects run alone in their process (quarantine.ts).
 */
const STALLS_OF_A_SUSPECT = 2
const STALLS_OF_A_SUSPECT_HALF = 1

/** Opens the pool and starts a Worker on each of its lanes. `quiet` stops taking jobs, `stop` waits for those in flight. */
export async function runPool(pool: Pool, options: RunOptions): Promise<RunningPool> {
  const { deps } = options
  const { config, log, metrics } = deps
  const concurrency = options.concurrency ?? pool.work.concurrency
  beginAtZero(metrics.jobs, { pool: [pool.name], outcome: ['done', 'retry', 'later', 'dead'] })
  beginAtZero(metrics.stalled, { pool: [pool.name] })
  beginAtZero(metrics.lockFailures, { pool: [pool.name] })
  const opened = await pool.open({ ...deps, send: options.sender.send, concurrency })
  const stopping = new AbortController()
  const quarantine = options.quarantine ?? createQuarantine()
  const execute = createExecutor(pool, opened, options, stopping.signal, quarantine)
  const lanes = queueNames(pool.consumes, config.shards)
  const progress = trackProgress(lanes)
  const workers = lanes.map((lane) => {
    const work = async (job: Job, token = '') => {
      progress.taken(lane)
      await execute(job, token, lane).finally(() => progress.finished(lane))
    }
    const worker = new RestingWorker(lane, (job, token) => work(job, token), {
      connection: options.connection,
      prefix: queuePrefix(config.namespace, lane),
      concurrency,
      drainDelay: config.redisBlockMs / 1000,
      lockDuration: config.lockMs,
      stalledInterval: config.stalledCheckMs,
      maxStalledCount: config.maxStalls,
      ...(options.telemetry === undefined ? {} : { telemetry: options.telemetry }),
      settings: { backoffStrategy: (attempt) => cappedFullJitter(pool.consumes, attempt) },
    })
    worker.on('stalled', (jobId) => {
      metrics.stalled.inc({ pool: pool.name })
      log.warn({ pool: pool.name, lane, jobId }, 'job taken from a dead or blocked worker')
    })
    worker.on('lockRenewalFailed', (jobIds) => {
      metrics.lockFailures.inc({ pool: pool.name }, jobIds.length)
      log.warn({ pool: pool.name, lane, jobs: jobIds.length }, 'locks were not renewed in time')
    })
    worker.on('failed', (job, error) => {
      if (job !== undefined) void recordIfDead(pool, options, lane, job, error)
    })
    worker.on('error', logOutagesOnce(log, pool.name, lane))
    worker.on('error', (error) => {
      if (error.name === 'ReplyError') progress.refused(lane)
    })
    quarantine.add(worker)
    return worker
  })
  await Promise.all(workers.map((worker) => worker.waitUntilReady()))
  let closing: Promise<unknown> | undefined
  const quiet = () => {
    stopping.abort()
    closing ??= Promise.all(workers.map((worker) => worker.close()))
  }
  return {
    name: pool.name,
    lanes,
    progress,
    quiet,
    async stop() {
      quiet()
      await closing
      await opened.close()
    },
  }
}

function createExecutor(
  pool: Pool,
  opened: OpenPool,
  options: RunOptions,
  stopping: AbortSignal,
  quarantine: Quarantine,
) {
  const check = Compile(pool.consumes.payload)
  const { metrics, depth, config } = options.deps
  const gates = pool.produces
    .filter((queue) => !pool.neverWaitsFor.includes(queue))
    .flatMap((queue) =>
      queueNames(queue, config.shards).map((name) => ({ name, limit: queue.budget.maxWaitingJobs })),
    )

  async function run(job: Job, payload: unknown, lane: string): Promise<void> {
    metrics.jobWaitSeconds.observe({ pool: pool.name }, Math.max(0, Date.now() - job.timestamp) / 1000)
    const endTimer = metrics.jobSeconds.startTimer({ pool: pool.name })
    await withTimeLimit(pool.work.timeoutMs, stopping, (signal) => {
      const attempts = job.opts.attempts ?? 1
      const info: JobInfo = {
        jobId: job.id ?? '',
        lane,
        attempt: job.attemptsMade + 1,
        lastAttempt: job.attemptsMade + 1 >= attempts,
        addedAt: job.timestamp,
        signal,
      }
      return opened.handle(payload, info)
    })
    endTimer()
    metrics.jobs.inc({ pool: pool.name, outcome: 'done' })
  }

  return async function execute(job: Job, token: string, lane: string): Promise<void> {
    try {
      quarantine.passOrGoBack()
      await waitForDownstream(depth, gates, stopping, quarantine)
      const payload = decode(job, lane)
      if (!check.Check(payload)) throw payloadMismatch(check.Errors(payload), lane)
      const isHalf = isHalfOfSuspect(job)
      const isSuspect = job.stalledCounter >= (isHalf ? STALLS_OF_A_SUSPECT_HALF : STALLS_OF_A_SUSPECT)
      if (isSuspect && (await splitStalled(pool, options.sender, payload))) return
      if (isSuspect || isHalf) await quarantine.alone(() => run(job, payload, lane))
      else await run(job, payload, lane)
    } catch (error) {
      await mapOutcome(pool, options, job, token, error)
    }
  }
}

/** Never returns normally: throws what BullMQ understands for the outcome. */
async function mapOutcome(
  pool: Pool,
  options: RunOptions,
  job: Job,
  token: string,
  error: unknown,
): Promise<never> {
  const { metrics, log } = options.deps
  if (error instanceof RetryLater || isInfrastructureError(error)) {
    const delayMs =
      error instanceof RetryLater
        ? error.delayMs
        : cappedFullJitter(pool.consumes, Math.min(job.attemptsStarted, 8))
    metrics.jobs.inc({ pool: pool.name, outcome: 'later' })
    log.debug({ pool: pool.name, jobId: job.id, delayMs, why: describeError(error) }, 'job handed back')
    await job.moveToDelayed(Date.now() + delayMs, token)
    throw new DelayedError()
  }
  const reason = describeError(error)
  // The dead are counted where they are recorded, those that BullMQ gave up among them.
  if (error instanceof PermanentError) throw new UnrecoverableError(reason)
  if (job.attemptsMade + 1 < (job.opts.attempts ?? 1)) metrics.jobs.inc({ pool: pool.name, outcome: 'retry' })
  log.warn({ pool: pool.name, jobId: job.id, attempt: job.attemptsMade + 1, reason }, 'job failed')
  throw new Error(reason)
}

/** Dead = it will not run again: a stalled-out job, an unrecoverable one, or the last attempt. */
async function recordIfDead(
  pool: Pool,
  options: RunOptions,
  lane: string,
  job: Job,
  error: Error,
): Promise<void> {
  const attempts = job.opts.attempts ?? 1
  const stalledOut = error.message.includes('stalled more than')
  if (!stalledOut && !(error instanceof UnrecoverableError) && job.attemptsMade < attempts) return
  options.deps.metrics.jobs.inc({ pool: pool.name, outcome: 'dead' })
  const reason = stalledOut
    ? fail('job_stalled', `stalled ${job.stalledCounter} times`).message
    : error.message
  try {
    await options.onDead({ pool: pool.name, lane, jobId: job.id ?? '', payload: payloadOrRaw(job), reason })
  } catch (problem) {
    // The job itself stays in the failed set, so nothing is lost; the sweep records it later.
    options.deps.log.error(
      { pool: pool.name, jobId: job.id, reason: describeError(problem) },
      'dead job not recorded yet',
    )
  }
}

async function splitStalled(pool: Pool, sender: Sender, payload: unknown): Promise<boolean> {
  const halves: unknown[] = pool.consumes.split?.(payload) ?? []
  if (halves.length < 2) return false
  await sender.sendHalves(pool.consumes, halves)
  return true
}

/** Holds the job (its lock is renewed) while a downstream lane is over its budget; hands it back when stopping. */
async function waitForDownstream(
  depth: DepthSampler,
  gates: { name: string; limit: number }[],
  stopping: AbortSignal,
  quarantine: Quarantine,
): Promise<void> {
  while (gates.some((gate) => depth.depthOf(gate.name).waiting > gate.limit)) {
    quarantine.passOrGoBack()
    if (stopping.aborted) throw new RetryLater(0, 'stopping while downstream is over its budget')
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

function decode(job: Job, lane: string): unknown {
  try {
    return decodePayload(job.data)
  } catch {
    throw new PermanentError('payload_mismatch', `job on ${lane} is damaged: it cannot be inflated`)
  }
}

/** For the record of a dead job: what it held, or, when that is damaged, what is stored. */
function payloadOrRaw(job: Job): unknown {
  try {
    return decodePayload(job.data)
  } catch {
    return job.data
  }
}

function payloadMismatch(
  errors: Iterable<{ instancePath: string; message: string }>,
  lane: string,
): PermanentError {
  const [first] = [...errors]
  const where = first === undefined ? 'payload' : `${first.instancePath} ${first.message}`
  return new PermanentError('payload_mismatch', `job on ${lane}: ${where}`)
}

function cappedFullJitter(queue: QueueContract, attempt: number): number {
  const { baseMs, capMs } = queue.insert.backoff
  return Math.ceil(Math.random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 20)))
}

/** One line when a lane loses its connection, not one a retry. */
function logOutagesOnce(log: Log, pool: string, lane: string): (error: Error) => void {
  let lastLoggedAt = 0
  return (error) => {
    if (Date.now() - lastLoggedAt < 10_000) return
    lastLoggedAt = Date.now()
    log.warn({ pool, lane, reason: describeError(error) }, 'worker connection trouble')
  }
}
