// The cluster's side: what Prometheus has scraped by now, what the autoscaler makes of it every sync, pods that take time
// to start. The rule itself is domain/autoscale.ts.
import {
  decideReplicas,
  limitsOf,
  NO_HISTORY,
  type PoolLoad,
  recommend,
  type ScalingHistory,
  type Signal,
} from '../../domain/autoscale.ts'
import type { PoolScaling } from '../../domain/scaling.ts'
import type { Backlog } from './flow.ts'
import type { World } from './world.ts'

export type Cluster = {
  /** Pods of each pool that work. */
  ready(): Map<string, number>
  /** Pods of each pool that were asked for: what is paid. */
  asked(): Map<string, number>
  /** Lets time pass: pods become ready, metrics are scraped, the autoscaler decides. Totals are counters. */
  tick(atSeconds: number, look: (pool: string) => Seen, acceptedTotal: number): Change[]
}
export type Seen = Backlog & { jobsDone: number }
export type Change = { atSeconds: number; pool: string; from: number; to: number; signal: Signal | null }

type Deployment = {
  scaling: PoolScaling
  replicas: number
  /** When those that only start will work. */
  starting: number[]
  history: ScalingHistory
}
type Scrape = { at: number; acceptedTotal: number; seen: Map<string, Seen> }

export function openCluster(world: World): Cluster {
  const deployments = world.scaling.map(
    (scaling): Deployment => ({
      scaling,
      replicas: limitsOf(scaling, world.load.shards).min,
      starting: [],
      history: NO_HISTORY,
    }),
  )
  const { scrapeSeconds, rateWindowSeconds, syncSeconds } = world.observation
  const scrapes = openScrapes(rateWindowSeconds)

  const counts = (of: (one: Deployment) => number) =>
    new Map(deployments.map((one) => [one.scaling.pool, of(one)]))
  const ready = (one: Deployment) => one.replicas - one.starting.length

  const decide = (one: Deployment, at: number): Change | undefined => {
    const load = scrapes.seenOf(one.scaling.pool)
    const replicas = { current: one.replicas, ready: ready(one) }
    const { replicas: recommended, signal } = recommend(one.scaling, load, replicas)
    const decision = decideReplicas({
      recommended,
      current: one.replicas,
      limits: limitsOf(one.scaling, world.load.shards),
      behaviour: world.behaviour,
      history: one.history,
      atSeconds: at,
    })
    one.history = decision.history
    const from = one.replicas
    for (let i = from; i < decision.replicas; i++) one.starting.push(at + world.podStartSeconds)
    // Those that do not work yet go first, as the ReplicaSet controller chooses.
    if (decision.replicas < from) one.starting.splice(0, from - decision.replicas)
    one.replicas = decision.replicas
    return from === one.replicas
      ? undefined
      : { atSeconds: at, pool: one.scaling.pool, from, to: one.replicas, signal }
  }

  return {
    ready: () => counts(ready),
    asked: () => counts((one) => one.replicas),
    tick(at, look, acceptedTotal) {
      for (const one of deployments) one.starting = one.starting.filter((readyAt) => readyAt > at)
      if (at % scrapeSeconds === 0) {
        const seen = new Map(deployments.map(({ scaling }) => [scaling.pool, look(scaling.pool)]))
        scrapes.add({ at, acceptedTotal, seen })
      }
      return at % syncSeconds === 0 ? deployments.flatMap((one) => decide(one, at) ?? []) : []
    },
  }
}

/** What Prometheus holds: the last scrape, and rate() over the scrapes of its window. */
function openScrapes(windowSeconds: number) {
  let scrapes: Scrape[] = []
  return {
    add(scrape: Scrape): void {
      scrapes = [...scrapes.filter((one) => one.at >= scrape.at - windowSeconds), scrape]
    },
    seenOf(pool: string): PoolLoad {
      const last = scrapes.at(-1)
      const first = scrapes[0]
      const rate = (total: (scrape: Scrape) => number) =>
        last === undefined || first === undefined || last === first
          ? 0
          : (total(last) - total(first)) / (last.at - first.at)
      const { jobs, oldestAgeSeconds } = last?.seen.get(pool) ?? NOTHING
      return {
        jobs,
        oldestAgeSeconds,
        eventsPerSecond: rate((scrape) => scrape.acceptedTotal),
        jobsPerSecond: rate((scrape) => scrape.seen.get(pool)?.jobsDone ?? 0),
      }
    },
  }
}

const NOTHING: Seen = { jobs: 0, oldestAgeSeconds: 0, jobsDone: 0 }
