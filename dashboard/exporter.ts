// The one exporter of the queues: depth by state, oldest age and Redis memory, from the sampler's last look. Exactly one
// runs a deployment, so that sums over it are true; the pools report only their own work.
import type { DepthSampler } from '../queues/depth.ts'
import { allQueueNames } from '../queues/pipeline.ts'
import type { Config } from '../runtime/config.ts'
import type { Service } from '../runtime/lifecycle.ts'
import type { Log } from '../runtime/log.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { startProbes } from '../runtime/probes.ts'

/** While Redis does not answer the gauges are absent (not stale) and /readyz is 503. */
export async function startExporter(options: {
  config: Config
  depth: DepthSampler
  metrics: Metrics
  log: Log
}): Promise<Service & { url: string }> {
  const { config, depth, metrics, log } = options
  const names = allQueueNames(config.shards)
  return startProbes({
    name: 'exporter',
    host: config.host,
    port: config.exporterPort,
    log,
    metrics,
    isReady: () => depth.current().reachable,
    isAlive: () => true,
    refresh: () => showQueues(depth, metrics, names),
  })
}

const STATES = ['waiting', 'active', 'delayed', 'failed'] as const

function showQueues(depth: DepthSampler, metrics: Metrics, names: string[]): void {
  const sample = depth.current()
  metrics.queueJobs.reset()
  metrics.queueOldestAgeSeconds.reset()
  if (!sample.reachable) return
  for (const queue of names) {
    const lane = depth.depthOf(queue)
    for (const state of STATES) metrics.queueJobs.set({ queue, state }, lane[state])
    metrics.queueOldestAgeSeconds.set({ queue }, lane.oldestAgeMs / 1000)
  }
  metrics.redisMemoryBytes.set(sample.usedMemoryBytes)
  metrics.redisMemoryMaxBytes.set(sample.maxMemoryBytes)
}
