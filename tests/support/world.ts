// One test file's world: its own database cloned from the migrated template, its own Redis namespace, and the
// connections a pool or route is given. `close` ends every connection and drops the database.
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'
import { openCache } from '../../cache/connect.ts'
import { createDatabase, dropDatabase } from '../../cli/local/postgres.ts'
import { connectConsumer, connectForCache, connectProducer, whenReady } from '../../queues/connection.ts'
import { startSampler } from '../../queues/depth.ts'
import { eraseNamespace } from '../../queues/erase.ts'
import { allQueueNames } from '../../queues/pipeline.ts'
import { createSender } from '../../queues/sender.ts'
import { systemClock } from '../../runtime/clock.ts'
import { type Config, readConfig } from '../../runtime/config.ts'
import type { Service } from '../../runtime/lifecycle.ts'
import { createLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { ensureServerMap } from '../../store/server-map.ts'
import { connectServers, endAll, spreadOver } from '../../store/servers.ts'
import type { Sql } from '../../store/sql.ts'
import type { Pool } from '../../workers/define.ts'
import { runPool } from '../../workers/run.ts'
import { databaseUrlFor } from './servers.ts'

export type World = Awaited<ReturnType<typeof testWorld>>

/**
 * Short lock and stall times so that recovery is quick; `overrides` change any configuration key. With `servers` people's
 * rows are spread over so many databases, which are as apart for Postgres as servers are.
 */
export async function testWorld(overrides: Partial<Config> = {}, { servers: count = 1 } = {}) {
  const id = randomBytes(5).toString('hex')
  const serverUrl = inject('postgresUrl')
  const redisUrl = overrides.redisUrl ?? inject('redisUrl')
  const database = `t_${id}`
  const databases = [database, ...Array.from({ length: count - 1 }, (_, i) => `${database}_${i + 1}`)]
  for (const name of databases) await createDatabase(serverUrl, name, 'millrace_template')
  const [databaseUrl = '', ...shardDatabaseUrls] = databases.map((name) => databaseUrlFor(serverUrl, name))
  const dataDir = await mkdtemp(join(tmpdir(), `millrace-world-${id}-`))
  const config = readConfig(
    {},
    {
      databaseUrl,
      shardDatabaseUrls,
      redisUrl,
      dataDir,
      lockMs: 2000,
      stalledCheckMs: 1000,
      logLevel: 'silent',
      shards: 4,
      ...overrides,
    },
  )
  // The template's schema is 'millrace'; Redis is shared by all files, so its prefix carries the id.
  const redisNamespace = `t${id}`
  const producer = connectProducer(redisUrl)
  const consumer = connectConsumer(redisUrl)
  await Promise.all([whenReady(producer), whenReady(consumer)])
  const all = connectServers({
    urls: config,
    namespace: config.namespace,
    max: 8,
    applicationName: `test-${id}`,
  })
  const [sql] = all
  const servers = spreadOver(all, config.namespace, count === 1 ? [] : await ensureServerMap(all))
  const cache = openCache(connectForCache(redisUrl), redisNamespace)
  const log = createLog({ level: config.logLevel, service: 'test' })
  const metrics = createMetrics()
  const queueConfig: Config = { ...config, namespace: redisNamespace }
  const sender = createSender({ redis: producer, namespace: redisNamespace })
  const depth = startSampler({
    redis: producer,
    namespace: redisNamespace,
    names: allQueueNames(config.shards),
    busyMs: 50,
    idleMs: 50,
  })
  await depth.ready
  const running: Service[] = []

  return {
    sql,
    servers,
    /** What a query finds on all servers. */
    async onAll<Row>(query: (sql: Sql) => Promise<Row[]>): Promise<Row[]> {
      return (await Promise.all(servers.all.map(query))).flat()
    },
    databaseUrl,
    redisUrl,
    /** Namespace of the queues; `config.namespace` is it too. The Postgres schema is always 'millrace'. */
    namespace: redisNamespace,
    config: queueConfig,
    log,
    metrics,
    clock: systemClock,
    cache,
    sender,
    producer,
    consumer,
    depth,
    /** Runs a pool until `close`; dead jobs land in `dead`. */
    async run(
      pool: Pool,
      options: { concurrency?: number; clock?: { now(): number }; cache?: typeof cache } = {},
    ) {
      const dead: { pool: string; reason: string; payload: unknown }[] = []
      const service = await runPool(pool, {
        connection: consumer,
        sender,
        deps: {
          sql,
          servers,
          cache: options.cache ?? cache,
          config: queueConfig,
          clock: options.clock ?? systemClock,
          log,
          metrics,
          depth,
        },
        onDead: async (job) => {
          dead.push(job)
        },
        ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
      })
      running.push(service)
      return { ...service, dead }
    },
    async close() {
      for (const service of running) await service.stop()
      await depth.close()
      await sender.close()
      await eraseNamespace(producer, redisNamespace)
      for (const redis of [producer, consumer]) redis.disconnect()
      await cache.close()
      await endAll(all, 5)
      for (const name of databases) await dropDatabase(serverUrl, name)
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
