// The autoscaling rule: how many replicas a pool should have, by the formulae of Kubernetes' HPA and KEDA. Used by the
// simulator (loadtest/) and by `millrace autoscale`; a cluster applies the same by the manifests. Pure: the caller brings
// the time, and keeps the history between two decisions.
import type { Behaviour, PoolScaling } from './scaling.ts'

/** What is seen of a pool. */
export type PoolLoad = {
  /** Waiting and active. */
  jobs: number
  oldestAgeSeconds: number
  /** Events that arrive at the collector. */
  eventsPerSecond: number
  /** Jobs that the pool finishes. */
  jobsPerSecond: number
}
export type Signal = 'depth' | 'age' | 'rate' | 'done'
export type Limits = { min: number; max: number }
/** `current` were asked for, `ready` of them work by now. */
export type Replicas = { current: number; ready: number }
export type Recommendation = { replicas: number; signal: Signal | null }

/** HPA's default: what is within a tenth of the target changes nothing. */
const TOLERANCE = 0.1

/** A pool's limits in a deployment of so many shards: a shard has one writer, so more segment replicas only add connections. */
export function limitsOf(scaling: PoolScaling, shards: number): Limits {
  const max = scaling.pool === 'segment' ? Math.min(scaling.maxReplicas, shards) : scaling.maxReplicas
  return { min: Math.min(scaling.minReplicas, max), max }
}

/** The largest of what depth, age, arriving events and finished jobs ask for; without limits. */
export function recommend(scaling: PoolScaling, load: PoolLoad, replicas: Replicas): Recommendation {
  const { jobsPerReplica, ageSeconds, eventsPerSecondPerReplica, jobsPerSecondPerReplica } = scaling
  const shared = (total: number, target: number | null) =>
    target === null ? null : byAverage(total, target, replicas)
  const asked: [Signal, number | null][] = [
    ['depth', shared(load.jobs, jobsPerReplica)],
    ['age', ageSeconds === null ? null : byValue(load.oldestAgeSeconds, ageSeconds, replicas)],
    ['rate', shared(load.eventsPerSecond, eventsPerSecondPerReplica)],
    ['done', shared(load.jobsPerSecond, jobsPerSecondPerReplica)],
  ]
  let most: Recommendation = { replicas: 0, signal: null }
  for (const [signal, wanted] of asked)
    if (wanted !== null && wanted > most.replicas) most = { replicas: wanted, signal }
  return most
}

/** HPA's `AverageValue`: the total shared out, so much to each. */
function byAverage(total: number, target: number, { current }: Replicas): number {
  if (isWithinTolerance(total / (target * current))) return current
  return Math.ceil(total / target)
}

/** HPA's `Value`: the working replicas times how far the value is from its target. */
function byValue(value: number, target: number, { current, ready }: Replicas): number {
  const ratio = value / target
  return isWithinTolerance(ratio) ? current : Math.ceil(ratio * ready)
}

function isWithinTolerance(ratio: number): boolean {
  return Math.abs(1 - ratio) <= TOLERANCE
}

type At = { atSeconds: number }
/** What a controller remembers of a pool: its recommendations, and by how much it changed when. */
export type ScalingHistory = {
  recommended: readonly (At & { replicas: number })[]
  changed: readonly (At & { by: number })[]
}
export const NO_HISTORY: ScalingHistory = { recommended: [], changed: [] }

/** Why the number is not what was recommended. */
export type HeldBy = 'window' | 'policy' | 'limit'
export type Decision = { replicas: number; heldBy: HeldBy | null; history: ScalingHistory }

/** The next number of replicas: recommended → within the limits → steady over the windows → as fast as the policies allow. */
export function decideReplicas(given: {
  recommended: number
  current: number
  limits: Limits
  behaviour: Behaviour
  history: ScalingHistory
  atSeconds: number
}): Decision {
  const { current, limits, behaviour, atSeconds } = given
  const wanted = clamp(given.recommended, limits)
  const history = remember(given.history, { atSeconds, replicas: wanted }, behaviour)
  const steady = stabilise(history, wanted, current, behaviour, atSeconds)
  const replicas = clamp(paced(steady, current, history, behaviour, atSeconds), limits)
  const by = replicas - current
  return {
    replicas,
    heldBy:
      replicas !== steady
        ? 'policy'
        : steady !== wanted
          ? 'window'
          : wanted !== given.recommended
            ? 'limit'
            : null,
    history: by === 0 ? history : { ...history, changed: [...history.changed, { atSeconds, by }] },
  }
}

function clamp(replicas: number, { min, max }: Limits): number {
  return Math.min(max, Math.max(min, replicas))
}

/** Up only to the lowest, down only to the highest recommendation of the window. */
function stabilise(
  history: ScalingHistory,
  wanted: number,
  current: number,
  { scaleUp, scaleDown }: Behaviour,
  atSeconds: number,
): number {
  const within = (seconds: number) =>
    history.recommended.filter((one) => one.atSeconds > atSeconds - seconds).map((one) => one.replicas)
  const up = Math.min(wanted, ...within(scaleUp.stabilizationWindowSeconds))
  const down = Math.max(wanted, ...within(scaleDown.stabilizationWindowSeconds))
  return Math.min(down, Math.max(up, current))
}

/** As far as the policies allow within their periods: up by the larger of percent and pods, down by percent. */
function paced(
  wanted: number,
  current: number,
  history: ScalingHistory,
  { scaleUp, scaleDown }: Behaviour,
  atSeconds: number,
): number {
  if (wanted > current) {
    const start = current - changedWithin(history, scaleUp.periodSeconds, atSeconds)
    const highest = Math.max(Math.ceil(start * (1 + scaleUp.percent / 100)), start + scaleUp.pods)
    return Math.min(wanted, Math.max(current, highest))
  }
  const start = current - changedWithin(history, scaleDown.periodSeconds, atSeconds)
  const lowest = Math.floor(start * (1 - scaleDown.percent / 100))
  return Math.max(wanted, Math.min(current, lowest))
}

function changedWithin({ changed }: ScalingHistory, periodSeconds: number, atSeconds: number): number {
  return changed
    .filter((one) => one.atSeconds > atSeconds - periodSeconds)
    .reduce((sum, one) => sum + one.by, 0)
}

/** Adds a recommendation and forgets what no window and no period reaches any more. */
function remember(
  history: ScalingHistory,
  now: At & { replicas: number },
  { scaleUp, scaleDown }: Behaviour,
): ScalingHistory {
  const windowS = Math.max(scaleUp.stabilizationWindowSeconds, scaleDown.stabilizationWindowSeconds)
  const periodS = Math.max(scaleUp.periodSeconds, scaleDown.periodSeconds)
  return {
    recommended: [...history.recommended.filter((one) => one.atSeconds > now.atSeconds - windowS), now],
    changed: history.changed.filter((one) => one.atSeconds > now.atSeconds - periodS),
  }
}
