// A real master, its replica and three sentinels on this machine, for the tests of failover. The servers are those of a
// local start; sentinels are the same program in another role.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { type LocalRedis, startRedis } from '../../cli/local/redis.ts'
import { findRedisServer } from '../../cli/local/redis-server.ts'
import { choosePort, endChild, launchServer } from '../../cli/local/server.ts'
import { waitFor } from './wait-for.ts'

const NAME = 'events'
const PASSWORD = 'sentinel-of-the-tests'
const SENTINELS = 3

export type SentinelGroup = {
  /** REDIS_URL of the group. */
  url: string
  master: LocalRedis
  replica: LocalRedis
  /** Resolves when the sentinels name the replica as master. */
  failedOver(): Promise<void>
  stop(): Promise<void>
}

/** Starts all five and waits until the replica is in step and the sentinels know it. */
export async function startSentinelGroup(dir: string): Promise<SentinelGroup> {
  const master = await startServer(join(dir, 'master'), ['repl-diskless-sync-delay 0'])
  const replica = await startServer(join(dir, 'replica'), [`replicaof 127.0.0.1 ${master.port}`])
  await says(replica.url, ['info', 'replication'], /master_link_status:up/)
  const sentinels = await Promise.all(
    Array.from({ length: SENTINELS }, (_, i) => startSentinel(join(dir, `sentinel-${i}`), master.port)),
  )
  for (const { port } of sentinels)
    await says(`redis://127.0.0.1:${port}`, ['info', 'sentinel'], /slaves=1,sentinels=3/)
  return {
    url: `redis+sentinel://:${PASSWORD}@${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/${NAME}`,
    master,
    replica,
    failedOver: () =>
      says(
        `redis://127.0.0.1:${sentinels[0]?.port}`,
        ['sentinel', 'get-master-addr-by-name', NAME],
        new RegExp(`,${replica.port}$`),
      ),
    async stop() {
      await Promise.all(sentinels.map((sentinel) => sentinel.stop()))
      await Promise.all([master.stop(), replica.stop()])
    },
  }
}

function startServer(dir: string, extra: string[]): Promise<LocalRedis> {
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'password'), PASSWORD, { mode: 0o600 })
  return startRedis({
    dir,
    port: 0,
    maxmemoryMb: 512,
    log: () => {},
    env: process.env,
    extra: [`masterauth ${PASSWORD}`, ...extra],
  })
}

async function startSentinel(dir: string, masterPort: number) {
  mkdirSync(dir, { recursive: true })
  const { program, libraryPath } = await findRedisServer(process.env, dir, () => {})
  const port = await choosePort(0)
  const configFile = join(dir, 'sentinel.conf')
  writeFileSync(
    configFile,
    `bind 127.0.0.1
port ${port}
dir "${dir}"
sentinel monitor ${NAME} 127.0.0.1 ${masterPort} 2
sentinel auth-pass ${NAME} ${PASSWORD}
sentinel down-after-milliseconds ${NAME} 1000
sentinel failover-timeout ${NAME} 5000
`,
    { mode: 0o600 },
  )
  const child = await launchServer({
    what: 'a sentinel',
    program,
    args: [configFile, '--sentinel'],
    spawn: {
      cwd: dir,
      env: {
        PATH: process.env.PATH,
        ...(libraryPath === undefined ? {} : { LD_LIBRARY_PATH: libraryPath }),
      },
    },
    endsOn: 'SIGTERM',
    logFile: join(dir, 'sentinel.log'),
    port,
    answers: async () =>
      /sentinel_masters:1/.test(await ask(`redis://127.0.0.1:${port}`, ['info', 'sentinel'])),
  })
  return { port, stop: () => endChild(child, 'SIGTERM', 'SIGKILL', 5000) }
}

async function says(url: string, command: [string, ...string[]], expected: RegExp): Promise<void> {
  await waitFor(async () => expected.test(await ask(url, command)), {
    timeoutMs: 30_000,
    everyMs: 200,
    what: `${command.join(' ')} to say ${expected}`,
  })
}

/** The answer as text; empty while the server does not answer. */
async function ask(url: string, [command, ...args]: [string, ...string[]]): Promise<string> {
  const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: 0, retryStrategy: () => null })
  redis.on('error', () => {})
  try {
    await redis.connect()
    return String(await redis.call(command, ...args))
  } catch {
    return ''
  } finally {
    redis.disconnect()
  }
}
