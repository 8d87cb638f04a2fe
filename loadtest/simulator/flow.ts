// One second of the pipeline: the door, the pools at the speed of their working replicas, the budgets that make a pool
// wait for the next (law 7), the stores' limits. Events are a fluid, jobs follow from how many events one holds.
import { decide, type GateState, loadsOf } from '../../collector/gate.ts'
import type { PoolLoad } from '../../domain/autoscale.ts'
import type { LaneDepth, Sample } from '../../queues/depth.ts'
import { archive, type ingest, persist, segment } from '../../queues/pipeline.ts'
import { type Fifo, openFifo } from './fifo.ts'
import { ceilingOf, type World } from './world.ts'

export type QueuedPool = 'ingest' | 'persist' | 'segment' | 'deliver' | 'archive'
export const QUEUED: readonly QueuedPool[] = ['ingest', 'persist', 'segment', 'deliver', 'archive']

export type Second = {
  offered: number
  accepted: number
  gate: GateState
  /** Events done by each pool. */
  done: Record<QueuedPool, number>
  /** Events that ingest did not put on the archive queue: read back from Postgres later. */
  gaps: number
}

export type Flow = {
  step(atSeconds: number, offered: number, ready: Map<string, number>): Second
  loadOf(pool: QueuedPool, atSeconds: number): Backlog
  /** Jobs that a pool has finished so far: a counter. */
  jobsDone(pool: QueuedPool): number
  waitingJobs(pool: QueuedPool): number
  /** Events that wait with their payload: what Redis' memory is for. */
  heldEvents(): number
  isEmpty(): boolean
}

export type Backlog = Pick<PoolLoad, 'jobs' | 'oldestAgeSeconds'>

/** Time of a job in its handler where nothing waits (README: accepted to row, p99 0.3 s): what counts as active. */
const JOB_SECONDS = 0.3
const REDIS_BASE_BYTES = 64 * 2 ** 20

export function openFlow(world: World): Flow {
  const queues: Record<QueuedPool, Fifo> = {
    ingest: openFifo(),
    persist: openFifo(),
    segment: openFifo(),
    deliver: openFifo(),
    archive: openFifo(),
  }
  const { capacity, load } = world
  const eventsPerJob: Record<QueuedPool, number> = {
    ...capacity.eventsPerJob,
    deliver: load.deliveriesPerEvent === 0 ? Number.POSITIVE_INFINITY : 1 / load.deliveriesPerEvent,
  }
  const jobs = (pool: QueuedPool) => queues[pool].waiting() / eventsPerJob[pool]
  let gate: GateState = 'open'
  let last: Second | undefined
  const finished: Record<QueuedPool, number> = { ingest: 0, persist: 0, segment: 0, deliver: 0, archive: 0 }

  /** Room below the budget of the next queue, in events. */
  const roomIn = (pool: 'persist' | 'segment' | 'archive', budgetJobs: number) =>
    Math.max(0, budgetJobs * eventsPerJob[pool] - queues[pool].waiting())

  const sampleAt = (atSeconds: number): Sample => ({
    takenAt: atSeconds * 1000,
    reachable: true,
    lanes: new Map(WATCHED.map((name) => [name, laneOf(name, atSeconds)])),
    usedMemoryBytes: REDIS_BASE_BYTES + heldEvents() * capacity.redisBytesPerWaitingEvent,
    maxMemoryBytes: world.redisMaxmemoryBytes,
  })
  const laneOf = (name: QueuedPool, atSeconds: number): LaneDepth => ({
    waiting: jobs(name),
    active: 0,
    delayed: 0,
    failed: 0,
    oldestAgeMs: queues[name].ageAt(atSeconds) * 1000,
  })
  const heldEvents = () => queues.ingest.waiting() + queues.persist.waiting() + queues.archive.waiting()

  return {
    step(at, offered, ready) {
      const speed = (pool: string) => (ready.get(pool) ?? 0) * ceilingOf(pool, world)
      gate = decide(gate, true, loadsOf(sampleAt(at), world.marks)).state
      const accepted = gate === 'open' ? Math.min(offered, speed('collector'), world.redisEventsPerSecond) : 0
      queues.ingest.add(at, accepted)
      const done: Second['done'] = { ingest: 0, persist: 0, segment: 0, deliver: 0, archive: 0 }

      // From the end upwards: a pool may fill the next up to its budget, beside what that one works off meanwhile.
      const segmentBudget = segment.budget.maxWaitingJobs * load.shards
      const canPersist = Math.min(
        speed('persist'),
        world.postgresEventsPerSecond,
        roomIn('segment', segmentBudget) + speed('segment'),
      )
      const canIngest = Math.min(
        speed('ingest'),
        roomIn('persist', persist.budget.maxWaitingJobs) + canPersist,
      )
      done.ingest = queues.ingest.take(canIngest)
      queues.persist.add(at, done.ingest)
      const archived = Math.min(
        done.ingest,
        roomIn('archive', archive.budget.maxWaitingJobs) + speed('archive'),
      )
      queues.archive.add(at, archived)
      done.persist = queues.persist.take(canPersist)
      queues.segment.add(at, done.persist)
      done.segment = queues.segment.take(speed('segment'))
      queues.deliver.add(at, done.segment)
      done.deliver = queues.deliver.take(speed('deliver'))
      done.archive = queues.archive.take(speed('archive'))
      for (const pool of QUEUED) finished[pool] += done[pool] / eventsPerJob[pool]
      last = { offered, accepted, gate, done, gaps: done.ingest - archived }
      return last
    },
    loadOf: (pool, at) => ({
      jobs: jobs(pool) + ((last?.done[pool] ?? 0) / eventsPerJob[pool]) * JOB_SECONDS,
      oldestAgeSeconds: queues[pool].ageAt(at),
    }),
    jobsDone: (pool) => finished[pool],
    waitingJobs: jobs,
    heldEvents,
    isEmpty: () => QUEUED.every((pool) => queues[pool].waiting() < 1),
  }
}

/** The queues that the door looks at (collector/gate.ts). */
const WATCHED = ['ingest', 'persist'] as const satisfies (typeof ingest.name | typeof persist.name)[]
