// What a deployment needs for a load, out of measured figures: replicas a pool, Redis, Postgres, and what that costs at
// given prices. Called by `millrace scale plan` and by the simulator, which sizes the stores by it. Pure.
import { limitsOf } from './autoscale.ts'
import type { Capacity } from './capacity.ts'
import { type PoolScaling, SCALING } from './scaling.ts'

export type PlannedLoad = {
  /** At the peak. */
  eventsPerSecond: number
  /** Over the day: what is stored. */
  averageEventsPerSecond: number
  /** Events that come alone in a request, 0 … 1; the others come in batches. */
  singlesShare: number
  /** Messages sent an event. */
  deliveriesPerEvent: number
  /** How long the peak may last before the pools have grown: what Redis must hold. */
  backlogSeconds: number
  retentionDays: number
  shards: number
  postgresPoolSize: number
}

/** US dollars; a month has 730 hours. */
export type Prices = {
  podVcpuHour: number
  podGibHour: number
  redisGibHour: number
  postgresVcpuHour: number
  postgresGibHour: number
  storageGibMonth: number
}

export type PlannedPool = { pool: string; replicas: number; eventsPerSecondPerReplica: number | null }
export type Plan = {
  pools: PlannedPool[]
  redis: { cores: number; maxmemoryBytes: number; softDepthJobs: number; hardDepthJobs: number }
  postgres: { cores: number; memoryGib: number; connections: number; storageBytes: number }
  monthlyCost: { pods: number; redis: number; postgres: number; storage: number; total: number }
  /** Where the load is more than the limits of domain/scaling.ts or of one server; each with the mend. */
  warnings: string[]
}

/** A core is full at less than 100 %: the rest is for bursts within a second and for what is not measured. */
export const USE = 0.8
/** Redis works on one core and must answer at once; Postgres also vacuums and checkpoints. */
export const STORE_USE = 0.7
/** Up to here the collector takes events (MILLRACE_SOFT_MEMORY_PERCENT). */
const MEMORY_USE = 0.6
const REDIS_BASE_BYTES = 256 * 2 ** 20
const POD_GIB = 0.75
const POSTGRES_GIB_PER_CORE = 4
/** Beside what is stored: WAL, free pages, sorting. */
const STORAGE_SPARE = 1.3
/** api, dashboard and exporter. */
const OTHER_PROCESSES = 3
const HOURS_A_MONTH = 730
const MICROSECONDS = 1e6
const GIB = 2 ** 30

/** CPU of a pool an event of this load, in microseconds; null = its work does not follow the events. */
export function cpuOf(pool: string, load: PlannedLoad, capacity: Capacity): number | null {
  const {
    cpuMicrosecondsPerEvent: cpu,
    cpuMicrosecondsPerSingleRequest,
    cpuMicrosecondsPerDelivery,
  } = capacity
  switch (pool) {
    case 'collector':
      return cpu.collector * (1 - load.singlesShare) + cpuMicrosecondsPerSingleRequest * load.singlesShare
    case 'ingest':
    case 'persist':
    case 'segment':
    case 'archive':
      return cpu[pool]
    case 'deliver':
      return cpuMicrosecondsPerDelivery.deliver * load.deliveriesPerEvent
    default:
      return null
  }
}

/** Postgres' CPU an event, its deliveries included. */
export function postgresCpuOf(load: PlannedLoad, capacity: Capacity): number {
  return (
    capacity.cpuMicrosecondsPerEvent.postgres +
    capacity.cpuMicrosecondsPerDelivery.postgres * load.deliveriesPerEvent
  )
}

export function planFor(load: PlannedLoad, capacity: Capacity, prices: Prices): Plan {
  const warnings: string[] = []
  const pools = SCALING.map((scaling) => planPool(scaling, load, capacity, warnings))
  const pods = pools.reduce((sum, one) => sum + one.replicas, 0) + OTHER_PROCESSES
  const redis = planRedis(load, capacity, warnings)
  const postgres = planPostgres(load, capacity, pods, warnings)
  return { pools, redis, postgres, monthlyCost: costOf(pods, redis, postgres, prices), warnings }
}

function planPool(
  scaling: PoolScaling,
  load: PlannedLoad,
  capacity: Capacity,
  warnings: string[],
): PlannedPool {
  const cpu = cpuOf(scaling.pool, load, capacity)
  const each = cpu === null || cpu === 0 ? null : (USE * MICROSECONDS) / cpu
  const needed = each === null ? 0 : Math.ceil(load.eventsPerSecond / each)
  const { min, max } = limitsOf(scaling, load.shards)
  if (needed > max) warnings.push(tooMany(scaling, needed, load.shards))
  return {
    pool: scaling.pool,
    replicas: Math.max(min, needed),
    eventsPerSecondPerReplica: each === null ? null : Math.floor(each),
  }
}

function tooMany({ pool, maxReplicas }: PoolScaling, needed: number, shards: number): string {
  return pool === 'segment' && needed > shards
    ? `segment needs ${needed} replicas and ${shards} shards feed only ${shards}: raise MILLRACE_SHARDS before the start`
    : `${pool} needs ${needed} replicas, domain/scaling.ts allows ${maxReplicas}: raise its maxReplicas`
}

function planRedis(load: PlannedLoad, capacity: Capacity, warnings: string[]): Plan['redis'] {
  const waiting = load.eventsPerSecond * load.backlogSeconds
  const bytes = (waiting * capacity.redisBytesPerWaitingEvent + REDIS_BASE_BYTES) / MEMORY_USE
  const cores = load.eventsPerSecond * (capacity.cpuMicrosecondsPerEvent.redis / (STORE_USE * MICROSECONDS))
  const softDepthJobs = Math.max(4_000, roundUp(waiting / capacity.eventsPerJob.ingest, 1_000))
  if (cores > 1)
    warnings.push(
      `Redis needs ${Math.ceil(cores)} cores and uses one a server: a Redis Cluster of ${Math.ceil(cores)} masters or more`,
    )
  return {
    cores: Math.ceil(cores),
    maxmemoryBytes: roundUp(bytes, 2 ** 28),
    softDepthJobs,
    hardDepthJobs: 2 * softDepthJobs,
  }
}

function planPostgres(
  load: PlannedLoad,
  capacity: Capacity,
  pods: number,
  warnings: string[],
): Plan['postgres'] {
  const cores = Math.max(
    2,
    Math.ceil((load.eventsPerSecond * postgresCpuOf(load, capacity)) / (STORE_USE * MICROSECONDS)),
  )
  const connections = pods * load.postgresPoolSize
  if (connections > 500)
    warnings.push(
      `${connections} Postgres connections: lower MILLRACE_POSTGRES_POOL_SIZE (${load.postgresPoolSize}) for the pools other than persist`,
    )
  const stored = load.averageEventsPerSecond * 86_400 * load.retentionDays * capacity.postgresBytesPerEvent
  return {
    cores,
    memoryGib: cores * POSTGRES_GIB_PER_CORE,
    connections,
    storageBytes: stored * STORAGE_SPARE,
  }
}

function costOf(
  pods: number,
  redis: Plan['redis'],
  postgres: Plan['postgres'],
  prices: Prices,
): Plan['monthlyCost'] {
  const pod = pods * (prices.podVcpuHour + POD_GIB * prices.podGibHour) * HOURS_A_MONTH
  const memory = (redis.maxmemoryBytes / GIB) * prices.redisGibHour * HOURS_A_MONTH
  const server =
    (postgres.cores * prices.postgresVcpuHour + postgres.memoryGib * prices.postgresGibHour) * HOURS_A_MONTH
  const storage = (postgres.storageBytes / GIB) * prices.storageGibMonth
  const whole = [pod, memory, server, storage].map(Math.round)
  const [podsCost = 0, redisCost = 0, postgresCost = 0, storageCost = 0] = whole
  return {
    pods: podsCost,
    redis: redisCost,
    postgres: postgresCost,
    storage: storageCost,
    total: podsCost + redisCost + postgresCost + storageCost,
  }
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step
}
