// What a simulated deployment is made of: measured speeds, the rule's numbers, delays of the cluster, the stores' size,
// the marks of the door. Sizes come from the plan for the peak, so that a scenario only says what is different.
import type { Marks } from '../../collector/gate.ts'
import type { Capacity } from '../../domain/capacity.ts'
import { cpuOf, type PlannedLoad, planFor, postgresCpuOf } from '../../domain/scale-plan.ts'
import { BEHAVIOUR, type Behaviour, OBSERVATION, type PoolScaling, SCALING } from '../../domain/scaling.ts'
import { EDGE_KEYS } from '../../runtime/config-keys/edge.ts'

export type World = {
  capacity: Capacity
  scaling: readonly PoolScaling[]
  behaviour: Behaviour
  observation: { scrapeSeconds: number; rateWindowSeconds: number; syncSeconds: number }
  /** From the decision until a pod works: scheduling, image, start of the process. */
  podStartSeconds: number
  load: PlannedLoad
  /** Events a second that Postgres commits, and that Redis carries. */
  postgresEventsPerSecond: number
  redisEventsPerSecond: number
  redisMaxmemoryBytes: number
  marks: Marks
}

/** Scheduling and an image that is on the node; a node that must be made first takes minutes (see loadtest/README.md). */
const POD_OVERHEAD_SECONDS = 15

/** A world for a peak: stores as planned for it, marks as configured by default or as planned. */
export function worldFor(
  capacity: Capacity,
  load: PlannedLoad,
  options: { marks?: 'default' | 'planned'; scaling?: readonly PoolScaling[]; podStartSeconds?: number } = {},
): World {
  const plan = planFor(load, capacity, FREE)
  const depth =
    options.marks === 'planned'
      ? plan.redis
      : {
          softDepthJobs: Number(EDGE_KEYS.softDepthJobs.default),
          hardDepthJobs: Number(EDGE_KEYS.hardDepthJobs.default),
        }
  return {
    capacity,
    scaling: options.scaling ?? SCALING,
    behaviour: BEHAVIOUR,
    observation: OBSERVATION,
    podStartSeconds:
      options.podStartSeconds ?? POD_OVERHEAD_SECONDS + Math.ceil(capacity.processStartSeconds),
    load,
    postgresEventsPerSecond: (plan.postgres.cores * 1e6) / postgresCpuOf(load, capacity),
    redisEventsPerSecond: (plan.redis.cores * 1e6) / capacity.cpuMicrosecondsPerEvent.redis,
    redisMaxmemoryBytes: plan.redis.maxmemoryBytes,
    marks: {
      softDepthJobs: depth.softDepthJobs,
      hardDepthJobs: depth.hardDepthJobs,
      softAgeMs: Number(EDGE_KEYS.softAgeMs.default),
      softMemoryPercent: Number(EDGE_KEYS.softMemoryPercent.default),
      hardMemoryPercent: Number(EDGE_KEYS.hardMemoryPercent.default),
    },
  }
}

/** Events a second of one replica at the ceiling; infinite where its work does not follow the events. */
export function ceilingOf(pool: string, { load, capacity }: World): number {
  const cpu = cpuOf(pool, load, capacity)
  return cpu === null || cpu === 0 ? Number.POSITIVE_INFINITY : 1e6 / cpu
}

/** Replicas as the plan wants them for the peak, for a sale that is known beforehand. */
export function preparedScaling(capacity: Capacity, load: PlannedLoad): PoolScaling[] {
  const plan = planFor(load, capacity, FREE)
  return SCALING.map((row) => {
    const replicas = plan.pools.find((one) => one.pool === row.pool)?.replicas ?? row.minReplicas
    return { ...row, minReplicas: replicas, maxReplicas: Math.max(replicas, row.maxReplicas) }
  })
}

const FREE = {
  podVcpuHour: 0,
  podGibHour: 0,
  redisGibHour: 0,
  postgresVcpuHour: 0,
  postgresGibHour: 0,
  storageGibMonth: 0,
}
