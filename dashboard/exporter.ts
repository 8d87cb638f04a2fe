// The one exporter of a deployment: depth by state, oldest age and Redis memory from the sampler's last look, and from a
// slower one what Postgres holds (store-gauges.ts). Exactly one runs, and it serves nothing else, so that sums over what
// it says are true; the pools report only their own work.
import type { RedisClient } from '../queues/connection.ts'
import { queueNames } from '../queues/define.ts'
import { type DepthSampler, EMPTY_LANE, type Sample } from '../queues/depth.ts'
import { allQueueNames, PIPELINE } from '../queues/pipeline.ts'
import type { Config } from '../runtime/config.ts'
import type { Service } from '../runtime/lifecycle.ts'
import type { Log } from '../runtime/log.ts'
import { createDeploymentMetrics, type DeploymentMetrics } from '../runtime/metrics.ts'
import { startProbes } from '../runtime/probes.ts'
import type { Servers } from '../store/servers.ts'
import { watchStores } from './store-gauges.ts'

/** While a store does not answer its gauges are absent (not stale); without Redis /readyz is 503. */
export async function startExporter(options: {
  config: Config
  depth: DepthSampler
  servers: Servers
  redis: RedisClient
  log: Log
}): Promise<Service & { url: string }> {
  const { config, depth, log } = options
  const metrics = createDeploymentMetrics()
  const names = allQueueNames(config.shards)
  showBudgets(metrics, config.shards)
  const probes = await startProbes({
    name: 'exporter',
    host: config.host,
    port: config.exporterPort,
    log,
    metrics,
    isReady: async () => (await depth.fresh()).reachable,
    isAlive: () => true,
    refresh: async () => showQueues(await depth.fresh(), metrics, names),
  })
  const stores = watchStores({
    servers: options.servers,
    redis: options.redis,
    namespace: config.namespace,
    queueNames: names,
    metrics,
    log,
    everyMs: config.exporterLookMs,
  })
  return {
    name: 'exporter',
    url: probes.url,
    async stop() {
      await Promise.all([probes.stop(), stores.stop()])
    },
  }
}

/** Values of the label `state`. */
export const STATES = ['waiting', 'active', 'delayed', 'failed'] as const

function showBudgets(metrics: DeploymentMetrics, shards: number): void {
  for (const contract of PIPELINE)
    for (const queue of queueNames(contract, shards))
      metrics.queueBudgetJobs.set({ queue }, contract.budget.maxWaitingJobs)
}

function showQueues(sample: Sample, metrics: DeploymentMetrics, names: string[]): void {
  metrics.queueJobs.reset()
  metrics.queueOldestAgeSeconds.reset()
  metrics.redisUp.set(sample.reachable ? 1 : 0)
  if (!sample.reachable) {
    metrics.redisMemoryBytes.remove()
    metrics.redisMemoryMaxBytes.remove()
    return
  }
  for (const queue of names) {
    const lane = sample.lanes.get(queue) ?? EMPTY_LANE
    for (const state of STATES) metrics.queueJobs.set({ queue, state }, lane[state])
    metrics.queueOldestAgeSeconds.set({ queue }, lane.oldestAgeMs / 1000)
  }
  metrics.redisMemoryBytes.set(sample.usedMemoryBytes)
  metrics.redisMemoryMaxBytes.set(sample.maxMemoryBytes)
}
