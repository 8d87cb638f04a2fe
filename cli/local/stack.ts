// A whole deployment on one machine: Postgres and Redis (embedded unless configured), the schema, the local sinks, and
// every pool in a few processes. `start`, `demo`, `bench` and the flow tests all stand on it.
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { CONFIG_TABLE, type Config } from '../../runtime/config.ts'
import { fail } from '../../runtime/errors.ts'
import { migrate } from '../../schema/migrate.ts'
import type { Addresses } from '../run-process.ts'
import { type PoolProcess, startPoolProcess } from './children.ts'
import { type LocalPostgres, startPostgres } from './postgres.ts'
import { type LocalRedis, startRedis } from './redis.ts'
import { readLocalSecrets } from './secrets.ts'
import { choosePort, type LogLine } from './server.ts'
import { type Sinks, startSinks } from './sinks.ts'

/** Few processes, split where the load is: the edge, the hot hops, everything else. */
export const DEFAULT_PROCESSES: string[][] = [
  ['collector', 'api', 'dashboard'],
  ['ingest', 'persist'],
  ['segment', 'deliver', 'archive', 'schedule', 'exporter'],
]

export type Stack = {
  config: Config
  /** Environment of the pool processes. */
  env: NodeJS.ProcessEnv
  postgres: LocalPostgres | undefined
  redis: LocalRedis | undefined
  sinks: Sinks
  processes: PoolProcess[]
  /** Addresses of all processes together. */
  addresses(): Addresses
  processOf(pool: string): PoolProcess
  stop(): Promise<void>
}

/** Brings everything up in order and takes down what stands when a step fails. `config.httpPort` 0 = a free port. */
export async function startStack(options: {
  config: Config
  env: NodeJS.ProcessEnv
  processes?: string[][]
  say: LogLine
  postgresConnections?: number
}): Promise<Stack> {
  const { env, say } = options
  const dataDir = resolve(options.config.dataDir)
  const done: (() => Promise<void>)[] = []
  const stopAll = async () => {
    for (const stop of done.reverse().splice(0)) await stop()
  }
  try {
    await refuseTakenPorts(options.config)
    const [postgres, redis] = await Promise.all([
      options.config.databaseUrl === ''
        ? startPostgres({
            dir: join(dataDir, 'postgres'),
            port: options.config.localPostgresPort,
            maxConnections: options.postgresConnections ?? 60,
            log: say,
          })
        : undefined,
      options.config.redisUrl === ''
        ? startRedis({
            dir: join(dataDir, 'redis'),
            port: options.config.localRedisPort,
            maxmemoryMb: options.config.localRedisMaxmemoryMb,
            log: say,
            env,
          })
        : undefined,
    ])
    if (postgres !== undefined) done.push(() => postgres.stop())
    if (redis !== undefined) done.push(() => redis.stop())
    const secrets = readLocalSecrets(dataDir)
    const webhookSecret =
      options.config.webhookSecret === '' ? secrets.webhookSecret : options.config.webhookSecret
    const sinks = await startSinks({
      dir: join(dataDir, 'outbox'),
      outboxPort: options.config.outboxPort,
      webhookSecret,
    })
    done.push(() => sinks.stop())
    const config: Config = {
      ...options.config,
      dataDir,
      databaseUrl: postgres?.url ?? options.config.databaseUrl,
      redisUrl: redis?.url ?? options.config.redisUrl,
      secret: options.config.secret === '' ? secrets.secret : options.config.secret,
      webhookSecret,
      localSmtpPort: sinks.email.port,
      localPushPort: sinks.push.port,
      localPushCa: resolve(sinks.push.caFile),
      localWebhookUrl: sinks.webhook.url,
      httpPort: options.config.httpPort === 0 ? await choosePort(0) : options.config.httpPort,
    }
    const applied = await migrate(config.databaseUrl, config.namespace)
    say(applied.length === 0 ? 'The schema is up to date' : `Schema: ${applied.length} migrations applied`)
    const childEnv = { ...env, ...toEnvironment(config) }
    const processes = await Promise.all(
      (options.processes ?? DEFAULT_PROCESSES).map((pools) =>
        startPoolProcess({
          pools,
          env: childEnv,
          logDir: join(dataDir, 'logs'),
          stopDeadlineMs: config.stopDeadlineMs,
        }),
      ),
    )
    // Edge first: nothing new comes in while the pools drain.
    done.push(async () => {
      for (const process of processes) await process.stop()
    })
    say(`Pools are running in ${processes.length} processes`)
    return {
      config,
      env: childEnv,
      postgres,
      redis,
      sinks,
      processes,
      addresses: () => Object.assign({}, ...processes.map((process) => process.addresses())),
      processOf: (pool) => {
        const found = processes.find((process) => process.pools.some((name) => name.split(':')[0] === pool))
        if (found === undefined) throw new Error(`no process runs ${pool}`)
        return found
      },
      stop: stopAll,
    }
  } catch (error) {
    await stopAll()
    throw error
  }
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

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, host, () => server.close(() => resolve(true)))
  })
}
