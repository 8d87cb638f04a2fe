// The connections and gauges one process shares among its pools and servers. Opened once, closed last.
import { type Cache, openCache } from '../cache/connect.ts'
import { DEFAULT_SHARDS } from '../domain/buckets.ts'
import { connectConsumer, connectForCache, connectProducer, type RedisClient } from '../queues/connection.ts'
import { type DepthSampler, startSampler } from '../queues/depth.ts'
import { findUnsafeSettings } from '../queues/safety.ts'
import { createSender, type Sender } from '../queues/sender.ts'
import { openTracing, type Tracing } from '../queues/tracing.ts'
import { systemClock } from '../runtime/clock.ts'
import type { Config } from '../runtime/config.ts'
import { fail } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { createMetrics, type Metrics } from '../runtime/metrics.ts'
import { findServers } from '../store/server-map.ts'
import { connectServers, endAll, type Servers } from '../store/servers.ts'
import { ensureShardMap } from '../store/shard-map.ts'
import type { Sql } from '../store/sql.ts'
import { mustAnswer, mustFitSchema } from './connect.ts'

export type Connections = {
  config: Config
  log: Log
  metrics: Metrics
  clock: typeof systemClock
  /** The connection home: everything that is no person's row. */
  sql: Sql
  servers: Servers
  cache: Cache
  producer: RedisClient
  consumer: RedisClient
  sender: Sender
  depth: DepthSampler
  tracing: Tracing | undefined
  close(): Promise<void>
}

/**
 * Connects and refuses what is not safe or does not fit: the schema, the shard map, Redis' durability. The returned
 * configuration has the stored number of shards. `sampled` = the queues that this process goes by.
 */
export async function openConnections(
  given: Config,
  log: Log,
  service: { name: string; version: string; sampled: (shards: number) => string[] },
): Promise<Connections> {
  await mustFitSchema(given)
  const producer = connectProducer(given.redisUrl)
  const consumer = connectConsumer(given.redisUrl)
  await Promise.all([mustAnswer(producer, given.redisUrl), mustAnswer(consumer, given.redisUrl)])
  await refuseUnsafeRedis(producer, given, log)
  const all = connectServers({
    urls: given,
    namespace: given.namespace,
    max: given.postgresPoolSize,
    applicationName: `millrace-${service.name}`.slice(0, 50),
  })
  const [sql] = all
  const servers = await findServers(all, given.namespace)
  const shards = await ensureShardMap(sql, given.shards === 0 ? DEFAULT_SHARDS : given.shards)
  if (given.shards !== 0 && shards !== given.shards) {
    throw fail(
      'shard_mismatch',
      `the stored shard map has ${shards} shards, MILLRACE_SHARDS is ${given.shards}: set it to ${shards}, or to 0 for whatever is stored`,
    )
  }
  const config = { ...given, shards }
  const tracing = await openTracing(config, service)
  const cache = openCache(connectForCache(config.redisUrl), config.namespace)
  const sender = createSender({
    redis: producer,
    namespace: config.namespace,
    waitReplicas: config.redisWaitReplicas,
    telemetry: tracing?.telemetry,
  })
  const depth = startSampler({
    redis: producer,
    namespace: config.namespace,
    names: service.sampled(config.shards),
    busyMs: 300,
    idleMs: 30_000,
  })
  await depth.ready
  return {
    config,
    log,
    metrics: createMetrics(),
    clock: systemClock,
    sql,
    servers,
    cache,
    producer,
    consumer,
    sender,
    depth,
    tracing,
    async close() {
      await depth.close()
      await sender.close()
      await tracing?.close()
      await endAll(all, 5)
      await cache.close()
      producer.disconnect()
      consumer.disconnect()
    },
  }
}

async function refuseUnsafeRedis(redis: RedisClient, config: Config, log: Log): Promise<void> {
  const findings = await findUnsafeSettings(redis)
  if (findings.length === 0) return
  const text = findings.map((f) => `${f.setting} is ${f.is}, should be ${f.shouldBe} (${f.why})`).join('; ')
  if (!config.redisUnsafeOk) {
    throw fail('unsafe_redis', `${text}. Mend it, or set MILLRACE_REDIS_UNSAFE_OK=true to run all the same`)
  }
  log.warn({ findings: findings.map((f) => f.setting) }, 'running on a Redis that may lose events, as told')
}
