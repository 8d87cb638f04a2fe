// A whole deployment on one machine: Postgres and Redis (embedded unless configured), the schema, the local sinks, and
// every pool in a few processes. `start`, `demo`, `bench` and the flow tests all stand on it.
import { join, resolve } from 'node:path'
import { DEFAULT_SHARDS } from '../../domain/buckets.ts'
import { CONFIG_TABLE, type Config } from '../../runtime/config.ts'
import { fail } from '../../runtime/errors.ts'
import { ensureShardMap } from '../../store/shard-map.ts'
import { connectSql } from '../../store/sql.ts'
import { migrateAll } from '../connect.ts'
import type { Addresses } from '../run-process.ts'
import { type PoolProcess, startPoolProcess } from './children.ts'
import { claim } from './claim.ts'
import { compileCacheEnv } from './compile-cache.ts'
import { type LocalPostgres, startPostgres } from './postgres.ts'
import { type LocalRedis, startRedis } from './redis.ts'
import { readLocalSecrets } from './secrets.ts'
import { choosePort, isFree, type LogLine } from './server.ts'
import { type Sinks, startSinks } from './sinks.ts'

/** Few processes, each with about the same load: one hop must not keep the next one's event loop busy. */
export const DEFAULT_PROCESSES: string[][] = [
  ['collector', 'api', 'dashboard'],
  ['ingest', 'archive', 'schedule', 'exporter'],
  ['persist', 'segment', 'deliver'],
]

const LOCAL_BLOCK_MS = 25_000

/** Any free port for everything: several stacks beside each other. */
export const FREE_PORTS = {
  httpPort: 0,
  dashboardPort: 0,
  exporterPort: 0,
  outboxPort: 0,
  localPostgresPort: 0,
  localRedisPort: 0,
} as const satisfies Partial<Config>

export type Stack = {
  config: Config
  /** Environment of the pool processes. */
  env: NodeJS.ProcessEnv
  postgres: LocalPostgres | undefined
  /** Those beside it that people are spread over. */
  morePostgres: LocalPostgres[]
  redis: LocalRedis | undefined
  sinks: Sinks
  processes: PoolProcess[]
  /** Addresses of all processes together. */
  addresses(): Addresses
  processOf(pool: string): PoolProcess
  stop(): Promise<void>
}

/**
 * Brings everything up in order and takes down what stands when a step fails or `signal` is aborted meanwhile. Throws
 * `conflict` while another deployment uses the data folder. `config.httpPort` 0 = a free port.
 */
export async function startStack(options: {
  config: Config
  env: NodeJS.ProcessEnv
  processes?: string[][]
  say: LogLine
  postgresConnections?: number
  signal?: AbortSignal
}): Promise<Stack> {
  const { env, say, signal } = options
  const dataDir = resolve(options.config.dataDir)
  const standing: (() => Promise<unknown>)[] = []
  try {
    await refuseTakenPorts(options.config)
    const held = await claim(dataDir)
    if (held === undefined) throw fail('conflict', `another Millrace uses ${dataDir}: stop it first`)
    standing.push(() => held.release())
    const servers = await startServers({ ...options, dataDir, standing })
    const { postgres, morePostgres, redis } = servers
    signal?.throwIfAborted()
    const { sinks, config } = await configure({ ...options, ...servers, dataDir, standing })
    const applied = await migrateAll(config)
    say(applied === 0 ? 'The schema is up to date' : `Schema: ${applied} migrations applied`)
    signal?.throwIfAborted()
    const shards = await storedShards(config)
    // The pools are told what was asked for: 0 lets them follow a later millrace reshard.
    const childEnv = { ...env, ...toEnvironment(config), ...compileCacheEnv() }
    const processes = await startProcesses(options.processes ?? DEFAULT_PROCESSES, {
      env: childEnv,
      config,
      standing,
    })
    say(`Pools are running in ${processes.length} processes`)
    return {
      config: { ...config, shards },
      env: childEnv,
      postgres,
      morePostgres,
      redis,
      sinks,
      processes,
      addresses: () => Object.assign({}, ...processes.map((process) => process.addresses())),
      processOf: (pool) => {
        const found = processes.find((process) => process.pools.some((name) => name.split(':')[0] === pool))
        if (found === undefined) throw new Error(`no process runs ${pool}`)
        return found
      },
      stop: () => stopAll(standing),
    }
  } catch (error) {
    await stopAll(standing)
    throw error
  }
}

/** What was started last stops first; what cannot be stopped keeps nothing else from stopping. */
async function stopAll(standing: (() => Promise<unknown>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const stop of standing.splice(0).reverse()) {
    try {
      await stop()
    } catch (error) {
      failures.push(error)
    }
  }
  if (failures.length > 0) throw failures[0]
}

/** Waits until all have settled, so that nothing comes up behind our back, and then throws the first failure. */
async function settled<T>(started: Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(started)
  return Promise.all(started)
}

type Standing = { standing: (() => Promise<unknown>)[] }

export type LocalServers = {
  postgres: LocalPostgres | undefined
  morePostgres: LocalPostgres[]
  redis: LocalRedis | undefined
}

/** What the pools are told of embedded servers; what is not embedded stays as it was configured. */
export function addressesOfServers(
  config: Config,
  { postgres, morePostgres, redis }: LocalServers,
): Pick<Config, 'databaseUrl' | 'shardDatabaseUrls' | 'redisUrl'> {
  return {
    databaseUrl: postgres?.url ?? config.databaseUrl,
    shardDatabaseUrls: postgres === undefined ? config.shardDatabaseUrls : morePostgres.map((one) => one.url),
    redisUrl: redis?.url ?? config.redisUrl,
  }
}

/** Those of Postgres and Redis that the configuration does not name. */
export async function startServers(
  options: Standing & {
    config: Config
    env: NodeJS.ProcessEnv
    dataDir: string
    say: LogLine
    postgresConnections?: number
  },
): Promise<LocalServers> {
  const { config, dataDir, say: log, env, standing } = options
  const all: LocalPostgres[] = []
  let redis: LocalRedis | undefined
  const bringUpPostgres = async (number: number) => {
    const maxConnections = options.postgresConnections ?? 60
    const { localPostgresPort, localPostgresBuffersMb: buffersMb, localPostgresWalMb: walMb } = config
    const server = await startPostgres({
      dir: join(dataDir, number === 0 ? 'postgres' : `postgres-${number}`),
      port: localPostgresPort === 0 ? 0 : localPostgresPort + number,
      maxConnections,
      // Home decides and prepares nothing.
      maxPreparedTransactions: number === 0 ? 0 : maxConnections,
      buffersMb,
      walMb,
      log,
    })
    all[number] = server
    standing.push(() => server.stop())
  }
  const bringUpRedis = async () => {
    const dir = join(dataDir, 'redis')
    const maxmemoryMb = config.localRedisMaxmemoryMb
    const server = await startRedis({ dir, port: config.localRedisPort, maxmemoryMb, log, env })
    redis = server
    standing.push(() => server.stop())
  }
  await settled([
    ...(config.databaseUrl === ''
      ? Array.from({ length: config.localPostgresServers }, (_, number) => bringUpPostgres(number))
      : []),
    ...(config.redisUrl === '' ? [bringUpRedis()] : []),
  ])
  const [postgres, ...morePostgres] = all
  return { postgres, morePostgres, redis }
}

/** Starts the sinks and says to the pools where everything is. */
async function configure(
  options: Standing & LocalServers & { config: Config; dataDir: string },
): Promise<{ sinks: Sinks; config: Config }> {
  const { dataDir, redis } = options
  const secrets = readLocalSecrets(dataDir)
  const webhookSecret =
    options.config.webhookSecret === '' ? secrets.webhookSecret : options.config.webhookSecret
  const sinks = await startSinks({
    dir: join(dataDir, 'outbox'),
    outboxPort: options.config.outboxPort,
    webhookSecret,
  })
  options.standing.push(() => sinks.stop())
  const config: Config = {
    ...options.config,
    dataDir,
    ...addressesOfServers(options.config, options),
    secret: options.config.secret === '' ? secrets.secret : options.config.secret,
    webhookSecret,
    localSmtpPort: sinks.email.port,
    localPushPort: sinks.push.port,
    localPushCa: resolve(sinks.push.caFile),
    localWebhookUrl: sinks.webhook.url,
    // A Redis of our own on this machine does not vanish unseen.
    redisBlockMs: redis === undefined ? options.config.redisBlockMs : LOCAL_BLOCK_MS,
    httpPort: options.config.httpPort === 0 ? await choosePort(0) : options.config.httpPort,
  }
  return { sinks, config }
}

async function storedShards(config: Config): Promise<number> {
  const sql = connectSql({
    url: config.databaseUrl,
    namespace: config.namespace,
    max: 1,
    applicationName: 'millrace-start',
  })
  try {
    return await ensureShardMap(sql, config.shards === 0 ? DEFAULT_SHARDS : config.shards)
  } finally {
    await sql.end({ timeout: 5 })
  }
}

async function startProcesses(
  groups: string[][],
  options: Standing & { env: NodeJS.ProcessEnv; config: Config },
): Promise<PoolProcess[]> {
  const { env, config, standing } = options
  const started: (PoolProcess | undefined)[] = groups.map(() => undefined)
  // Edge first: nothing new comes in while the pools drain.
  standing.push(async () => {
    for (const process of started) await process?.stop()
  })
  return settled(
    groups.map(async (pools, index) => {
      const logDir = join(config.dataDir, 'logs')
      const process = await startPoolProcess({ pools, env, logDir, stopDeadlineMs: config.stopDeadlineMs })
      started[index] = process
      return process
    }),
  )
}

/** The configuration as the environment that yields it again. */
export function toEnvironment(config: Config): Record<string, string> {
  const values: Record<string, unknown> = { ...config }
  return Object.fromEntries(
    Object.entries(CONFIG_TABLE).map(([key, entry]) => [entry.env, String(values[key])]),
  )
}

async function refuseTakenPorts(config: Config): Promise<void> {
  const wanted: [string, number][] = [
    ['MILLRACE_HTTP_PORT', config.httpPort],
    ['MILLRACE_DASHBOARD_PORT', config.dashboardPort],
    ['MILLRACE_EXPORTER_PORT', config.exporterPort],
    ['MILLRACE_OUTBOX_PORT', config.outboxPort],
  ]
  const taken: string[] = []
  for (const [name, port] of wanted)
    if (port !== 0 && !(await isFree(config.host, port))) taken.push(`${port} (${name})`)
  if (taken.length > 0)
    throw fail(
      'port_taken',
      `taken: ${taken.join(', ')}. Stop what uses them (another millrace start?), or set other ports`,
    )
}
