// How a command finds the running system: the addresses in the environment, else the note that a local `start` left in
// its data folder. One sentence with the mend when there is neither. Connections are closed when the command is done.

import { type Cache, openCache } from '../cache/connect.ts'
import { DEFAULT_SHARDS } from '../domain/buckets.ts'
import { connectForCache, connectProducer, type RedisClient, whenReady } from '../queues/connection.ts'
import { type Config, readConfig } from '../runtime/config.ts'
import { describeError, fail, MillraceError } from '../runtime/errors.ts'
import { redisPlaces } from '../runtime/redis-url.ts'
import { migrate, schemaVersion } from '../schema/migrate.ts'
import { findServers } from '../store/server-map.ts'
import { connectServers, endAll, type Servers } from '../store/servers.ts'
import { countShards } from '../store/shard-map.ts'
import type { Sql } from '../store/sql.ts'
import type { CliIo } from './io.ts'
import { type RunState, readRunState } from './run-state.ts'

export type Found = { config: Config; state: RunState | undefined }
export type System = Found & { sql: Sql; servers: Servers; redis: RedisClient; cache: Cache }

/** The configuration of the deployment that is meant; addresses may be empty when nothing runs. */
export function findConfig(io: CliIo): Found {
  const own = readConfig(io.env)
  const state = readRunState(own.dataDir)
  if ((own.databaseUrl !== '' && own.redisUrl !== '') || state === undefined) return { config: own, state }
  const env = { ...io.env, ...state.env, DATABASE_URL: state.databaseUrl, REDIS_URL: state.redisUrl }
  return { config: readConfig(env), state }
}

const ADDRESSES = { databaseUrl: 'DATABASE_URL', redisUrl: 'REDIS_URL' } as const

/** As `findConfig`; throws `unavailable` when nothing runs here and the environment does not name the servers `needed`. */
export function findRunning(
  io: CliIo,
  needed: (keyof typeof ADDRESSES)[] = ['databaseUrl', 'redisUrl'],
): Found {
  const found = findConfig(io)
  const missing = needed.filter((key) => found.config[key] === '')
  if (missing.length > 0) {
    const names = missing.map((key) => ADDRESSES[key]).join(' and ')
    throw fail(
      'unavailable',
      `Millrace does not run here (${found.config.dataDir}): start it with npm start, or set ${names}`,
    )
  }
  return found
}

/** Connects, runs `work`, and closes what was opened whatever happens. */
export async function withSystem<T>(io: CliIo, work: (system: System) => Promise<T>): Promise<T> {
  const { config, state } = findRunning(io)
  await mustFitSchema(config)
  const redis = connectProducer(config.redisUrl)
  const cache = openCache(connectForCache(config.redisUrl), config.namespace)
  const all = connectServers({
    urls: config,
    namespace: config.namespace,
    max: 2,
    applicationName: 'millrace-cli',
  })
  const [sql] = all
  try {
    await mustAnswer(redis, config.redisUrl)
    // The stored map is what the workers go by, whatever this shell's environment says.
    const shards = (await countShards(sql)) || config.shards || DEFAULT_SHARDS
    const servers = await findServers(all, config.namespace)
    return await work({ config: { ...config, shards }, state, sql, servers, redis, cache })
  } finally {
    redis.disconnect()
    await cache.close()
    await endAll(all, 2)
  }
}

/** Host and port of a URL, never its user and password. */
export function placeOf(url: string): string {
  if (url.startsWith('redis')) return redisPlaces(url)
  const { hostname, port } = new URL(url)
  return `${hostname}:${port || '5432'}`
}

/** Throws `unavailable` with the address, never the password, when Redis cannot be reached. */
export async function mustAnswer(redis: RedisClient, url: string): Promise<void> {
  await whenReady(redis).catch((cause: unknown) => {
    throw fail('unavailable', `Redis does not answer at ${placeOf(url)}: is it running?`, { cause })
  })
}

/** Throws `unavailable`, or `schema_mismatch` with what to do, unless Postgres has exactly the schema of this version. */
export async function mustFitSchema(config: Config): Promise<void> {
  for (const url of databaseUrls(config)) await mustFitSchemaAt(url, config.namespace)
}

/** Of all Postgres servers, home first. */
export function databaseUrls(config: Pick<Config, 'databaseUrl' | 'shardDatabaseUrls'>): string[] {
  return [config.databaseUrl, ...config.shardDatabaseUrls]
}

/** Brings every server to the schema of this version; returns how many migrations that took, one after the other. */
export async function migrateAll(config: Config): Promise<number> {
  let applied = 0
  for (const url of databaseUrls(config)) {
    const versions = await migrate(url, config.namespace).catch((cause: unknown) => {
      if (cause instanceof MillraceError) throw cause
      throw fail('unavailable', `Postgres does not answer at ${placeOf(url)} (${describeError(cause)})`, {
        cause,
      })
    })
    applied = Math.max(applied, versions.length)
  }
  return applied
}

async function mustFitSchemaAt(url: string, namespace: string): Promise<void> {
  const { applied, known } = await schemaVersion(url, namespace).catch((cause: unknown) => {
    throw fail(
      'unavailable',
      `Postgres does not answer at ${placeOf(url)} (${describeError(cause)}): is it running?`,
      { cause },
    )
  })
  if (applied > known) {
    throw fail(
      'schema_mismatch',
      `the database has schema ${applied}, this version knows ${known}: upgrade Millrace`,
    )
  }
  if (applied < known) {
    throw fail('schema_mismatch', `the database has schema ${applied} of ${known}: run millrace migrate`)
  }
}
