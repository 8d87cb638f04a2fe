// One process: whichever of the pools and servers it was asked to run, on shared connections, until it is told to stop.
// `millrace start persist` in a container and every child of a local `millrace start` come through here. Servers are
// loaded when asked for: a worker does not pay their memory.
import packageFile from '../package.json' with { type: 'json' }
import { connectProducer, whenReady } from '../queues/connection.ts'
import { type QueueContract, queueNames } from '../queues/define.ts'
import { allQueueNames, ingest, persist } from '../queues/pipeline.ts'
import { queuesWithWork } from '../queues/ready-work.ts'
import { findUnsafeSettings } from '../queues/safety.ts'
import { createSender } from '../queues/sender.ts'
import type { Config } from '../runtime/config.ts'
import { fail } from '../runtime/errors.ts'
import { type Service, stopAll } from '../runtime/lifecycle.ts'
import type { Log } from '../runtime/log.ts'
import { startProbes } from '../runtime/probes.ts'
import { describeProcess } from '../runtime/process-gauges.ts'
import { recordFailedEvents } from '../store/failed-events.ts'
import { deadJobRow } from '../workers/dead-jobs.ts'
import type { Pool } from '../workers/define.ts'
import { createQuarantine } from '../workers/quarantine.ts'
import { REGISTRY } from '../workers/registry.ts'
import { type OnDead, type RunningPool, runPool } from '../workers/run.ts'
import { type Connections, openConnections } from './connections.ts'
import { startLiveness } from './liveness.ts'
import { watchShards } from './reshard-watch.ts'

/** Servers beside the pools of the registry. */
export const SERVERS = ['api', 'dashboard', 'exporter'] as const
export const RUNNABLE: string[] = [...REGISTRY.map((row) => row.name), ...SERVERS]

export type Asked = { name: string; concurrency?: number }
export type Addresses = {
  http?: string
  dashboard?: string
  exporter?: string
  probes?: string
  adminPassword?: string
}
export type RunningProcess = {
  addresses: Addresses
  /** Resolves when the number of shards has changed: this process is to stop and be started again. */
  resharded: Promise<'resharded'>
  stop(): Promise<boolean>
}

/** Starts everything asked for; throws when one of them cannot start. `stop` resolves false when the deadline passed. */
export async function runProcess(given: Config, log: Log, asked: Asked[]): Promise<RunningProcess> {
  const names = new Set(asked.map((one) => one.name))
  for (const name of names)
    if (!RUNNABLE.includes(name))
      throw fail('invalid_config', `there is no pool ${name}: ${RUNNABLE.join(', ')}`)
  const loaded = await loadPools(asked)
  const connections = await openConnections(given, log, {
    name: [...names].join('-'),
    version: packageFile.version,
    sampled: (shards) => sampledQueues(names, loaded, shards),
  })
  const { config } = connections
  const services: Service[] = []
  const pools: RunningPool[] = []
  const quarantine = createQuarantine()
  const addresses: Addresses = {}
  try {
    if (names.has('collector') || names.has('api'))
      addresses.http = await serveHttp(connections, names, services)
    for (const { pool: definition, concurrency } of loaded) {
      const { sender, consumer, depth, sql, servers, cache, metrics, clock, tracing } = connections
      const pool = await runPool(definition, {
        connection: consumer,
        sender,
        deps: { sql, servers, cache, config, clock, log, metrics, depth },
        onDead: deadJobRecorder(connections),
        telemetry: tracing?.telemetry,
        quarantine,
        ...(concurrency === undefined ? {} : { concurrency }),
      })
      pools.push(pool)
      services.push(pool)
    }
    if (names.has('dashboard')) {
      const { startDashboard } = await import('../dashboard/server.ts')
      const dashboard = await startDashboard({
        config,
        log,
        sql: connections.sql,
        servers: connections.servers,
        redis: connections.producer,
      })
      addresses.dashboard = dashboard.url
      if (dashboard.firstPassword !== undefined) addresses.adminPassword = dashboard.firstPassword
      services.push(dashboard)
    }
    if (names.has('exporter')) {
      const { startExporter } = await import('../dashboard/exporter.ts')
      const exporter = await startExporter({
        config,
        depth: connections.depth,
        servers: connections.servers,
        redis: connections.producer,
        log,
      })
      addresses.exporter = exporter.url
      services.push(exporter)
    }
    const { producer, depth } = connections
    const liveness = startLiveness({
      pools,
      depth,
      queuesWithWork: (lanes, nowMs) => queuesWithWork(producer, config.namespace, lanes, nowMs),
      log,
    })
    services.push(liveness)
    const probes = await startProbes({
      host: config.host,
      port: config.metricsPort,
      log,
      metrics: connections.metrics,
      refresh: describeProcess(connections.metrics, {
        version: packageFile.version,
        runs: [...names],
        dataDir: config.dataDir,
      }),
      isReady: () => isReady(connections),
      isAlive: liveness.isAlive,
    })
    addresses.probes = probes.url
    services.push(probes)
  } catch (error) {
    await stopAll(services, 5000, log)
    await connections.close()
    throw error
  }
  // A number that was asked for would be refused at the next start: then an operator changes it first.
  const { watch, resharded } = given.shards === 0 ? awaitReshard(connections) : NEVER_RESHARDED
  return {
    addresses,
    resharded,
    async stop() {
      watch.stop()
      const inTime = await stopAll(services, config.stopDeadlineMs, log)
      if (inTime) await connections.close()
      return inTime
    },
  }
}

type Loaded = { pool: Pool; concurrency: number | undefined }

async function loadPools(asked: Asked[]): Promise<Loaded[]> {
  const loaded: Loaded[] = []
  for (const { name, concurrency } of asked) {
    const load = REGISTRY.find((row) => row.name === name)?.load
    if (load != null) loaded.push({ pool: await load(), concurrency })
  }
  return loaded
}

/** What a process goes by: a look at all queues is 170 commands, and every process of a pool looks. */
function sampledQueues(names: Set<string>, loaded: Loaded[], shards: number): string[] {
  if (names.has('api') || names.has('exporter')) return allQueueNames(shards)
  const queues = new Set<QueueContract>(
    loaded.flatMap(({ pool }) => [pool.consumes, ...pool.produces, ...pool.watches]),
  )
  if (names.has('collector')) for (const queue of [ingest, persist]) queues.add(queue)
  return [...queues].flatMap((queue) => queueNames(queue, shards))
}

const NEVER_RESHARDED = { watch: { stop: () => {} }, resharded: new Promise<never>(() => {}) }

function awaitReshard({ producer, sql, config }: Connections) {
  const { promise: resharded, resolve } = Promise.withResolvers<'resharded'>()
  const { namespace, shards } = config
  const watch = watchShards({
    redis: producer,
    sql,
    namespace,
    shards,
    changed: () => resolve('resharded'),
  })
  return { watch, resharded }
}

/** Settings are looked at again: a Redis that was safe at the start may be changed while it runs. */
async function isReady({ config, depth, producer }: Connections): Promise<boolean> {
  if (!(await depth.fresh()).reachable) return false
  return config.redisUnsafeOk || (await findUnsafeSettings(producer)).length === 0
}

/** Collector and API share one port here; in a cluster an Ingress routes to each. */
async function serveHttp(connections: Connections, names: Set<string>, services: Service[]): Promise<string> {
  const { config, log, sql, servers, cache, clock, metrics, depth, tracing } = connections
  const { createHttpServer } = await import('../runtime/http.ts')
  const api = names.has('api') ? await import('../api/app.ts') : undefined
  const app = createHttpServer({
    log,
    bodyLimitBytes: config.maxRequestBytes,
    trustProxy: config.trustProxy,
    ...(api === undefined ? {} : { socketPath: api.SOCKET_PATH }),
  })
  // The edge has its own deadline: a frozen Redis must become a 503, not a wait.
  const edge = connectProducer(config.redisUrl, { commandTimeoutMs: config.acceptDeadlineMs })
  await whenReady(edge)
  const edgeSender = createSender({
    redis: edge,
    namespace: config.namespace,
    waitReplicas: config.redisWaitReplicas,
    telemetry: tracing?.telemetry,
  })
  const publicUrl =
    config.publicUrl === '' ? `http://${config.host}:${config.httpPort}` : config.publicUrl.replace(/\/$/, '')
  if (api !== undefined) {
    const { sender } = connections
    await api.mountApi(app, {
      sql,
      servers,
      cache,
      config,
      clock,
      log,
      metrics,
      sender,
      depth,
      publicUrl,
      secret: config.secret,
    })
  }
  let collector: Service | undefined
  if (names.has('collector')) {
    const { mountCollector } = await import('../collector/app.ts')
    collector = await mountCollector(app, {
      sql,
      cache,
      config,
      clock,
      log,
      metrics,
      depth,
      send: edgeSender.send,
      span: tracing?.span,
    })
  }
  await app.listen({ host: config.host, port: config.httpPort }).catch((error: unknown) => {
    throw fail(
      'port_taken',
      `port ${config.httpPort} is taken: stop what uses it, or set MILLRACE_HTTP_PORT`,
      { cause: error },
    )
  })
  services.push({
    name: 'http',
    async stop() {
      await app.close()
      await collector?.stop()
      await edgeSender.close()
      edge.disconnect()
    },
  })
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : config.httpPort
  return `http://${config.host}:${port}`
}

/** A dead job is kept where operators look: the failed set holds it, and failed_events names it. */
function deadJobRecorder(connections: Connections): OnDead {
  return async (dead) => {
    await recordFailedEvents(connections.sql, [deadJobRow(dead)])
  }
}
