// The exporter's slow look: what Postgres holds that should not stay there, who works on the queues, what is paused. A loop
// that outlives an outage: while a store does not answer its gauges are absent, and `…_up` says why.
import { countWorkers } from '../queues/activity.ts'
import type { RedisClient } from '../queues/connection.ts'
import { pausedQueues } from '../queues/control.ts'
import { describeError, fail } from '../runtime/errors.ts'
import type { Service } from '../runtime/lifecycle.ts'
import type { Log } from '../runtime/log.ts'
import type { DeploymentMetrics } from '../runtime/metrics.ts'
import { countFailedEvents } from '../store/failed-events.ts'
import { gaugesOfAll, readStoreGauges } from '../store/gauges.ts'
import { lastRuns } from '../store/schedule-runs.ts'
import type { Servers } from '../store/servers.ts'

/** A store that has not answered by then is as good as away. */
const PATIENCE_MS = 10_000

export type StoreWatch = {
  servers: Servers
  redis: RedisClient
  namespace: string
  queueNames: string[]
  metrics: DeploymentMetrics
  log: Log
  everyMs: number
}

/** Looks at once and then every `everyMs`; `stop` waits for the look in flight. */
export function watchStores(watch: StoreWatch): Service {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  const showPostgres = outliving(watch, 'Postgres', () => readPostgres(watch), forgetPostgres)
  const showWorkers = outliving(watch, 'Redis', () => readWorkers(watch), forgetWorkers)
  const look = async () => {
    await Promise.all([showPostgres(), showWorkers()])
    if (stopped) return
    timer = setTimeout(() => {
      running = look()
    }, watch.everyMs)
  }
  let running = look()
  return {
    name: 'store gauges',
    async stop() {
      stopped = true
      clearTimeout(timer)
      await running
    },
  }
}

/** A look that never throws: a failure is logged once an outage and takes away what the last look found. */
function outliving(
  { metrics, log }: StoreWatch,
  store: string,
  look: () => Promise<void>,
  forget: (metrics: DeploymentMetrics) => void,
): () => Promise<void> {
  let isDown = false
  return async () => {
    try {
      await withPatience(look(), store)
      isDown = false
    } catch (error) {
      forget(metrics)
      if (!isDown) log.warn({ store, reason: describeError(error) }, 'gauges wait for a store')
      isDown = true
    }
  }
}

async function withPatience(look: Promise<void>, store: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(fail('unavailable', `${store} did not answer within ${PATIENCE_MS} ms`)),
      PATIENCE_MS,
    )
  })
  try {
    await Promise.race([look, late])
  } finally {
    clearTimeout(timer)
  }
}

async function readPostgres({ servers, metrics }: StoreWatch): Promise<void> {
  const stored = gaugesOfAll(await Promise.all(servers.all.map(readStoreGauges)))
  const failed = await countFailedEvents(servers.home)
  const runs = await lastRuns(servers.home)
  metrics.postgresUp.set(1)
  metrics.postgresConnections.set(stored.connections)
  metrics.postgresConnectionsMax.set(stored.connectionsMax)
  metrics.postgresDatabaseBytes.set(stored.databaseBytes)
  metrics.archiveGapsOpen.set(stored.archiveGapsOpen)
  metrics.unannouncedAgeSeconds.set(stored.unannouncedAgeSeconds)
  if (stored.partitionWeeksAhead === null) metrics.partitionWeeksAhead.remove()
  else metrics.partitionWeeksAhead.set(stored.partitionWeeksAhead)
  metrics.failedEventsOpen.reset()
  for (const { stage, code, count } of failed) metrics.failedEventsOpen.set({ stage, code }, count)
  metrics.scheduleLastSuccess.reset()
  for (const [task, startedAt] of runs) metrics.scheduleLastSuccess.set({ task }, startedAt / 1000)
}

function forgetPostgres(metrics: DeploymentMetrics): void {
  metrics.postgresUp.set(0)
  metrics.failedEventsOpen.reset()
  metrics.scheduleLastSuccess.reset()
  const single = [
    metrics.postgresConnections,
    metrics.postgresConnectionsMax,
    metrics.postgresDatabaseBytes,
    metrics.archiveGapsOpen,
    metrics.unannouncedAgeSeconds,
    metrics.partitionWeeksAhead,
  ]
  for (const gauge of single) gauge.remove()
}

async function readWorkers({ redis, namespace, queueNames, metrics }: StoreWatch): Promise<void> {
  const workers = await countWorkers(redis, namespace, queueNames)
  const paused = await pausedQueues(redis, namespace, queueNames)
  metrics.queueWorkers.reset()
  for (const queue of queueNames) {
    if (workers !== undefined) metrics.queueWorkers.set({ queue }, workers.get(queue) ?? 0)
    metrics.queuePaused.set({ queue }, paused.has(queue) ? 1 : 0)
  }
}

function forgetWorkers(metrics: DeploymentMetrics): void {
  metrics.queueWorkers.reset()
  metrics.queuePaused.reset()
}
