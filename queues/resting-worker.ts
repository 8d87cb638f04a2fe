// BullMQ's Worker, at rest. A process has a worker a lane, and each of them has timers of its own: locks to renew every few
// seconds though no job is held, a look for stalled jobs, the end of a wait for jobs. Drifted apart, the timers of 24
// lanes woke a process that had nothing to do five times a second. Here locks are renewed while there are any, and looks
// and waits are in step. Used by workers/run.ts, the only place that knows a worker.
import {
  type Job,
  LockManager,
  type LockManagerWorkerContext,
  type Processor,
  Worker,
  type WorkerOptions,
} from 'bullmq'
import { inStep, untilStep } from '../runtime/rhythm.ts'
import type { RedisClient } from './connection.ts'
import { msUntilTurn } from './turns.ts'

/** The looks of several processes keep each other away for this share of a period (`stalled-check` in Redis). */
const LOOK_HOLDS = 0.9

export type RestingOptions = Omit<WorkerOptions, 'connection'> & {
  connection: RedisClient
  /** Periods: waits (seconds) and looks (ms) end at their multiples. */
  drainDelay: number
  stalledInterval: number
  /** Jobs cost less together: they are left to the process that took the last ones (turns.ts). */
  inTurns: boolean
  /** Called when some are left to another process. */
  onLeft(): void
}

export class RestingWorker extends Worker {
  readonly #stalledMs: number
  readonly #options: RestingOptions
  #looks: { stop(): void } | undefined
  #foundNone = false

  constructor(name: string, processor: Processor, options: RestingOptions) {
    super(name, processor, {
      ...options,
      autorun: false,
      stalledInterval: Math.ceil(options.stalledInterval * LOOK_HOLDS),
    })
    this.#stalledMs = options.stalledInterval
    this.#options = options
    this.run().catch((error) => this.emit('error', error))
  }

  protected override async moveToActive(token: string, name?: string): Promise<Job> {
    if (this.#options.inTurns && this.#foundNone) await this.#waitForTurn()
    return super.moveToActive(token, name)
  }

  /** Sees every answer to "give me a job": when one is asked for, and when the job before is done. */
  protected override nextJobFromJobData(...answer: Parameters<Worker['nextJobFromJobData']>): Promise<Job> {
    this.#foundNone = answer[0] === undefined || answer[0] === null
    return super.nextJobFromJobData(...answer)
  }

  async #waitForTurn(): Promise<void> {
    const { connection, onLeft } = this.#options
    while (this.closing === undefined) {
      const ms = await msUntilTurn(connection, this.toKey('').slice(0, -1), this.id)
      if (ms <= 0) return
      onLeft()
      await new Promise((resolve) => setTimeout(resolve, ms))
    }
  }

  protected override createLockManager(): void {
    const { lockRenewTime = 0, lockDuration = 0, name: workerName } = this.opts
    // As BullMQ's own worker does: the two types differ in a promise of a promise.
    const worker = this as unknown as LockManagerWorkerContext
    this.lockManager = new RestingLockManager(worker, {
      lockRenewTime,
      lockDuration,
      workerId: this.id,
      ...(workerName === undefined ? {} : { workerName }),
    })
  }

  /** One look at once and one a period: what a worker that died held goes back to the queue. */
  override async startStalledCheckTimer(): Promise<void> {
    if (this.closing !== undefined || this.#looks !== undefined) return
    const look = () => {
      if (this.closing === undefined && !this.paused)
        void this.checkConnectionError(() => this.#returnStalledJobs())
    }
    this.#looks = inStep(this.#stalledMs, look)
    look()
  }

  async #returnStalledJobs(): Promise<void> {
    for (const jobId of await this.backend.moveStalledJobsToWait()) this.emit('stalled', jobId, 'active')
  }

  /** Seconds. BullMQ's own limit of ten, for connections that may have died, is `drainDelay` here. */
  protected override getBlockTimeout(blockUntil: number): number {
    const untilDue = blockUntil > 0 ? (blockUntil - Date.now()) / 1000 : Number.POSITIVE_INFINITY
    if (untilDue <= 0) return untilDue
    const untilWake = untilStep((this.opts.drainDelay ?? 1) * 1000) / 1000
    return Math.max(this.minimumBlockTimeout, Math.min(untilDue, untilWake))
  }

  override close(force?: boolean): Promise<void> {
    this.#looks?.stop()
    return super.close(force)
  }
}

/** Its timer runs while a job is held. */
class RestingLockManager extends LockManager {
  override start(): void {}

  override trackJob(jobId: string, token: string, ts: number, controlled = false) {
    const controller = super.trackJob(jobId, token, ts, controlled)
    if (!this.isRunning()) super.start()
    return controller
  }

  override untrackJob(jobId: string): void {
    super.untrackJob(jobId)
    if (this.getActiveJobCount() > 0) return
    clearTimeout(this.lockRenewalTimer)
    delete this.lockRenewalTimer
  }
}
