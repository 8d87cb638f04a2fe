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

/** The queues of the pools, in events and in jobs, and what the door sees of them. */
function openQueues({ capacity, load, redisMaxmemoryBytes }: World) {
  const fifos: Record<QueuedPool, Fifo> = {
    ingest: openFifo(),
    persist: openFifo(),
    segment: openFifo(),
    deliver: openFifo(),
    archive: openFifo(),
  }
  const eventsPerJob: Record<QueuedPool, number> = {
    ...capacity.eventsPerJob,
    deliver: load.deliveriesPerEvent === 0 ? Number.POSITIVE_INFINITY : 1 / load.deliveriesPerEvent,
  }
  const jobs = (pool: QueuedPool) => fifos[pool].waiting() / eventsPerJob[pool]
  const heldEvents = () => fifos.ingest.waiting() + fifos.persist.waiting() + fifos.archive.waiting()
  const laneOf = (name: QueuedPool, atSeconds: number): LaneDepth => ({
    waiting: jobs(name),
    active: 0,
    delayed: 0,
    failed: 0,
    oldestAgeMs: fifos[name].ageAt(atSeconds) * 1000,
  })
  return {
    fifos,
    eventsPerJob,
    jobs,
    heldEvents,
    /** Room below the budget of a queue, in events. */
    roomIn: (pool: QueuedPool, budgetJobs: number) =>
      Math.max(0, budgetJobs * eventsPerJob[pool] - fifos[pool].waiting()),
    sampleAt: (atSeconds: number): Sample => ({
      takenAt: atSeconds * 1000,
      reachable: true,
      lanes: new Map(WATCHED.map((name) => [name, laneOf(name, atSeconds)])),
      usedMemoryBytes: REDIS_BASE_BYTES + heldEvents() * capacity.redisBytesPerWaitingEvent,
      maxMemoryBytes: redisMaxmemoryBytes,
    }),
  }
}

/**
 * Moves events on by a second, at the speed of each pool. From the end upwards it is known what each may take: a pool fills
 * the next up to its budget, beside what that one works off meanwhile.
 */
function moveEvents(
  at: number,
  { fifos, roomIn }: ReturnType<typeof openQueues>,
  speed: (pool: string) => number,
  world: World,
): Pick<Second, 'done' | 'gaps'> {
  const canPersist = Math.min(
    speed('persist'),
    world.postgresEventsPerSecond,
    roomIn('segment', segment.budget.maxWaitingJobs * world.load.shards) + speed('segment'),
  )
  const canIngest = Math.min(speed('ingest'), roomIn('persist', persist.budget.maxWaitingJobs) + canPersist)
  const ingested = fifos.ingest.take(canIngest)
  fifos.persist.add(at, ingested)
  const archived = Math.min(ingested, roomIn('archive', archive.budget.maxWaitingJobs) + speed('archive'))
  fifos.archive.add(at, archived)
  const persisted = fifos.persist.take(canPersist)
  fifos.segment.add(at, persisted)
  const segmented = fifos.segment.take(speed('segment'))
  fifos.deliver.add(at, segmented)
  return {
    done: {
      ingest: ingested,
      persist: persisted,
      segment: segmented,
      deliver: fifos.deliver.take(speed('deliver')),
      archive: fifos.archive.take(speed('archive')),
    },
    gaps: ingested - archived,
  }
}

export function openFlow(world: World): Flow {
  const queues = openQueues(world)
  const { fifos, eventsPerJob, jobs } = queues
  const finished: Record<QueuedPool, number> = { ingest: 0, persist: 0, segment: 0, deliver: 0, archive: 0 }
  let gate: GateState = 'open'
  let last: Second | undefined
  return {
    step(at, offered, ready) {
      const speed = (pool: string) => (ready.get(pool) ?? 0) * ceilingOf(pool, world)
      gate = decide(gate, true, loadsOf(queues.sampleAt(at), world.marks)).state
      const accepted = gate === 'open' ? Math.min(offered, speed('collector'), world.redisEventsPerSecond) : 0
      fifos.ingest.add(at, accepted)
      last = { offered, accepted, gate, ...moveEvents(at, queues, speed, world) }
      for (const pool of QUEUED) finished[pool] += last.done[pool] / eventsPerJob[pool]
      return last
    },
    loadOf: (pool, at) => ({
      jobs: jobs(pool) + ((last?.done[pool] ?? 0) / eventsPerJob[pool]) * JOB_SECONDS,
      oldestAgeSeconds: fifos[pool].ageAt(at),
    }),
    jobsDone: (pool) => finished[pool],
    waitingJobs: jobs,
    heldEvents: queues.heldEvents,
    isEmpty: () => QUEUED.every((pool) => fifos[pool].waiting() < 1),
  }
}

/** The queues that the door looks at (collector/gate.ts). */
const WATCHED = ['ingest', 'persist'] as const satisfies (typeof ingest.name | typeof persist.name)[]
