// Runs a simulated deployment second by second under a load and sums up what happened. After the load it goes on until
// nothing waits, or until it is clear that it will not drain.
import { type Change, openCluster } from './cluster.ts'
import { openFlow, QUEUED, type QueuedPool } from './flow.ts'
import type { World } from './world.ts'

/** Events a second that are sent at a second of the scenario. */
export type Curve = (atSeconds: number) => number

export type PoolResult = {
  pool: string
  /** Waiting; messages for deliver. */
  worstBacklogJobs: number
  worstAgeSeconds: number
  minPods: number
  maxPods: number
  podHours: number
  changes: number
  /** Times that it grew again within ten minutes after it had shrunk. */
  flaps: number
}
export type Result = {
  offered: number
  accepted: number
  refused: number
  gaps: number
  /** First and last second at which the door was closed. */
  closed: { from: number; to: number } | undefined
  pools: PoolResult[]
  changes: Change[]
  /** Seconds from the end of the load until nothing waited; undefined = it did not drain. */
  drainedAfterSeconds: number | undefined
  series: Series
}
export type Series = {
  offered: number[]
  accepted: number[]
  /** Events that Redis holds. */
  backlog: number[]
  pods: Map<string, number[]>
}

const DRAIN_LIMIT_SECONDS = 3_600
const FLAP_SECONDS = 600

export function simulate(world: World, curve: Curve, seconds: number): Result {
  const flow = openFlow(world)
  const cluster = openCluster(world)
  const lookAt = (pool: string, second: number) =>
    isQueued(pool)
      ? { ...flow.loadOf(pool, second), jobsDone: flow.jobsDone(pool) }
      : { jobs: 0, oldestAgeSeconds: 0, jobsDone: 0 }
  const pools = new Map(world.scaling.map(({ pool }) => [pool, openPoolStatistics(pool)]))
  const series: Series = {
    offered: [],
    accepted: [],
    backlog: [],
    pods: new Map(world.scaling.map(({ pool }) => [pool, []])),
  }
  const changes: Change[] = []
  let offered = 0
  let accepted = 0
  let gaps = 0
  let closed: Result['closed']
  let at = 0
  for (; at < seconds + DRAIN_LIMIT_SECONDS; at++) {
    if (at >= seconds && flow.isEmpty()) break
    const now = flow.step(at, at < seconds ? curve(at) : 0, cluster.ready())
    offered += now.offered
    accepted += now.accepted
    gaps += now.gaps
    if (now.gate !== 'open') closed = { from: closed?.from ?? at, to: at }
    changes.push(...cluster.tick(at, (pool) => lookAt(pool, at), accepted))
    series.offered.push(now.offered)
    series.accepted.push(now.accepted)
    series.backlog.push(flow.heldEvents())
    for (const [pool, pods] of cluster.asked()) {
      series.pods.get(pool)?.push(pods)
      pools
        .get(pool)
        ?.note(pods, isQueued(pool) ? flow.waitingJobs(pool) : 0, lookAt(pool, at).oldestAgeSeconds)
    }
  }
  return {
    offered,
    accepted,
    refused: offered - accepted,
    gaps,
    closed,
    pools: [...pools.values()].map((one) => one.result(changes)),
    changes,
    drainedAfterSeconds: flow.isEmpty() ? at - seconds : undefined,
    series,
  }
}

/** Worst and sum of one pool over all seconds. */
function openPoolStatistics(pool: string) {
  let [worstBacklogJobs, worstAgeSeconds, minPods, maxPods, podSeconds] = [
    0,
    0,
    Number.POSITIVE_INFINITY,
    0,
    0,
  ]
  return {
    note(pods: number, waitingJobs: number, ageSeconds: number): void {
      minPods = Math.min(minPods, pods)
      maxPods = Math.max(maxPods, pods)
      podSeconds += pods
      worstBacklogJobs = Math.max(worstBacklogJobs, waitingJobs)
      worstAgeSeconds = Math.max(worstAgeSeconds, ageSeconds)
    },
    result: (changes: Change[]): PoolResult => ({
      pool,
      worstBacklogJobs,
      worstAgeSeconds,
      minPods,
      maxPods,
      podHours: podSeconds / 3_600,
      ...countChanges(changes.filter((change) => change.pool === pool)),
    }),
  }
}

function isQueued(pool: string): pool is QueuedPool {
  return QUEUED.some((name) => name === pool)
}

function countChanges(changes: Change[]): { changes: number; flaps: number } {
  const flaps = changes.filter((change, i) => {
    const before = changes[i - 1]
    return (
      before !== undefined &&
      before.to < before.from &&
      change.to > change.from &&
      change.atSeconds - before.atSeconds <= FLAP_SECONDS
    )
  })
  return { changes: changes.length, flaps: flaps.length }
}
