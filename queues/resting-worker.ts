// BullMQ's Worker, at rest. A process has a worker a lane, and each of them has timers of its own: locks to renew every few
// seconds though no job is held, a look for stalled jobs, the end of a wait for jobs. Drifted apart, the timers of 24
// lanes woke a process that had nothing to do five times a second. Here locks are renewed while there are any, and looks
// and waits are in step. It also says how many jobs it holds as Redis counts them: from the moment it asks for one. Used by
// workers/run.ts, the only place that knows a worker.
import {
  type Job,
  LockManager,
  type LockManagerWorkerContext,
  type Processor,
  Worker,
  type WorkerOptions,
} from 'bullmq'
import { inStep, untilStep } from '../runtime/rhythm.ts'

/** The looks of several processes keep each other away for this share of a period (`stalled-check` in Redis). */
const LOOK_HOLDS = 0.9

/** `drainDelay` (seconds) and `stalledInterval` (ms) are periods: waits and looks end at their multiples. */
export class RestingWorker extends Worker {
  readonly #stalledMs: number
  #looks: { stop(): void } | undefined
  #asking = 0
  readonly #held = new Set<string | undefined>()

  constructor(
    name: string,
    processor: Processor,
    options: WorkerOptions & { drainDelay: number; stalledInterval: number },
  ) {
    super(name, processor, {
      ...options,
      autorun: false,
      stalledInterval: Math.ceil(options.stalledInterval * LOOK_HOLDS),
    })
    this.#stalledMs = options.stalledInterval
    this.#start()
  }

  #start(): void {
    this.run().catch((error) => this.emit('error', error))
  }

  /** Jobs that are active in Redis, or may be: whoever looks at the handlers alone misses those on their way to them. */
  held(): number {
    return this.#asking + this.#held.size
  }

  /** A worker that was paused while it waited for a job does not take the one that comes. */
  protected override async moveToActive(token: string, name?: string): Promise<Job> {
    // BullMQ's own type leaves out that there may be none.
    if (this.paused) return undefined as unknown as Job
    this.#asking++
    try {
      const job: Job | undefined = await super.moveToActive(token, name)
      if (job !== undefined) this.#held.add(job.id)
      return job as Job
    } finally {
      this.#asking--
    }
  }

  /** The end of a job may bring the next one, which may be the same job again. */
  override async processJob(job: Job, token: string, fetchNext?: () => boolean): Promise<undefined | Job> {
    let next: undefined | Job
    try {
      next = (await super.processJob(job, token, fetchNext)) ?? undefined
    } finally {
      this.#held.delete(job.id)
    }
    if (next !== undefined) this.#held.add(next.id)
    return next
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

  /** BullMQ's own believes a main loop that is just ending to go on, and then nothing would start it again. */
  override async resume(): Promise<void> {
    await super.resume()
    await new Promise((resolve) => setImmediate(resolve))
    if (!this.isRunning() && !this.paused && this.closing === undefined) this.#start()
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
