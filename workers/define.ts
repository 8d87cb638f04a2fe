// What a pool is: which queue it consumes, which queues it may send to, how many jobs at once, how long one may take,
// and the handler. Pool files are read as a table of contents; the work sits beside them. No BullMQ here.

import type { Cache } from '../cache/connect.ts'
import type { PayloadOf, QueueContract } from '../queues/define.ts'
import type { DepthSampler } from '../queues/depth.ts'
import type { Send } from '../queues/sender.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Config } from '../runtime/config.ts'
import type { Log } from '../runtime/log.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { Servers } from '../store/servers.ts'
import type { Sql } from '../store/sql.ts'

/** What every pool is given when it opens; `send` only takes the queues that the pool declares. */
export type PoolDeps<Produces extends QueueContract> = {
  /** The connection home: everything that is no person's row. */
  sql: Sql
  /** For rows of people. */
  servers: Servers
  cache: Cache
  config: Config
  clock: Clock
  log: Log
  metrics: Metrics
  send: Send<Produces>
  depth: DepthSampler
  /** Jobs a lane that this process works on at a time: a pool that gathers jobs need not wait for more than these. */
  concurrency: number
}

export type JobInfo = {
  jobId: string
  /** The BullMQ queue it came from (`segment-03`). */
  lane: string
  /** 1 for the first try. */
  attempt: number
  lastAttempt: boolean
  /** When it was put on the queue, ms. */
  addedAt: number
  /** Aborted when the time limit passes or the process must stop: long work gives up cleanly. */
  signal: AbortSignal
}

export type PoolSpec<
  Name extends string,
  Consumes extends QueueContract,
  Produces extends QueueContract,
  State,
> = {
  name: Name
  consumes: Consumes
  produces: readonly Produces[]
  /** Downstream queues that are skipped or spilled when over budget instead of being waited for. */
  neverWaitsFor?: readonly Produces[]
  /** Other queues whose depth the pool goes by. */
  watches?: readonly QueueContract[]
  work: { concurrency: number; timeoutMs: number }
  /** Made once a process: coalescers, clients. */
  open(deps: PoolDeps<Produces>): State | Promise<State>
  handle(payload: PayloadOf<Consumes>, state: State, job: JobInfo): Promise<void>
  /** Runs after the last handler has returned. */
  close?(state: State): Promise<void>
}

/** A pool as the executor and the registry see it: its payload is checked against `consumes.payload` before `handle`. */
export type Pool<Name extends string = string> = {
  name: Name
  consumes: QueueContract
  produces: readonly QueueContract[]
  neverWaitsFor: readonly QueueContract[]
  watches: readonly QueueContract[]
  work: { concurrency: number; timeoutMs: number }
  open(deps: PoolDeps<QueueContract>): Promise<OpenPool>
}

export type OpenPool = {
  handle(payload: unknown, job: JobInfo): Promise<void>
  close(): Promise<void>
}

/** Declares a pool. Handlers return only when their transaction is committed and their output enqueued (law 1). */
export function definePool<
  const Name extends string,
  Consumes extends QueueContract,
  const Produces extends QueueContract,
  State,
>(spec: PoolSpec<Name, Consumes, Produces, State>): Pool<Name> {
  return {
    name: spec.name,
    consumes: spec.consumes,
    produces: spec.produces,
    neverWaitsFor: spec.neverWaitsFor ?? [],
    watches: spec.watches ?? [],
    work: spec.work,
    async open(deps) {
      const state = await spec.open(deps)
      return {
        // The executor has checked the payload against the queue's schema: this is the one decode cast.
        handle: (payload, job) => spec.handle(payload as PayloadOf<Consumes>, state, job),
        close: async () => spec.close?.(state),
      }
    },
  }
}
