// Which deployment a load test is aimed at: the one that `millrace start` runs here, or one whose stores the environment
// names, with --url and the keys. Called by run.ts, smoke.ts and reconcile.ts.
import { join } from 'node:path'
import { findRunning, mustAnswer } from '../cli/connect.ts'
import { processIo } from '../cli/io.ts'
import type { RedisClient } from '../queues/connection.ts'
import { connectProducer } from '../queues/connection.ts'
import type { Config } from '../runtime/config.ts'
import { fail } from '../runtime/errors.ts'
import { connectServers, endAll } from '../store/servers.ts'
import { countShards } from '../store/shard-map.ts'
import type { Sql } from '../store/sql.ts'

export type Target = {
  httpUrl: string
  writeKey: string
  secretKey: string
  config: Config
  /** Every Postgres server, home first. */
  all: readonly [Sql, ...Sql[]]
  redis: RedisClient
  /** Files of the local sinks. */
  outboxDir: string
  close(): Promise<void>
}

export type TargetOptions = {
  url?: string | undefined
  'write-key'?: string | undefined
  'secret-key'?: string | undefined
}

export async function openTarget(options: TargetOptions): Promise<Target> {
  const { config: found, state } = findRunning(processIo())
  const httpUrl = options.url ?? state?.httpUrl ?? ''
  const writeKey = options['write-key'] ?? state?.writeKey ?? ''
  const secretKey = options['secret-key'] ?? state?.secretKey ?? ''
  if (httpUrl === '' || writeKey === '' || secretKey === '')
    throw fail(
      'invalid_request',
      'no start with its demo done was found here: name the deployment with --url, --write-key and --secret-key',
    )
  const redis = connectProducer(found.redisUrl)
  await mustAnswer(redis, found.redisUrl)
  const all = connectServers({
    urls: found,
    namespace: found.namespace,
    max: 2,
    applicationName: 'loadtest',
    statementTimeoutMs: 300_000,
  })
  const config = { ...found, shards: (await countShards(all[0])) || found.shards }
  return {
    httpUrl,
    writeKey,
    secretKey,
    config,
    all,
    redis,
    outboxDir: join(config.dataDir, 'outbox'),
    async close() {
      redis.disconnect()
      await endAll(all, 5)
    },
  }
}

/** An id that starts every message and user of one run. */
export function newRun(name: string): string {
  return `${name}-${Date.now().toString(36)}${Math.floor(Math.random() * 46_656)
    .toString(36)
    .padStart(3, '0')}`
}
