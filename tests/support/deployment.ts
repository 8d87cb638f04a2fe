// A whole deployment with servers of its own, which a fault test may kill: short locks and leases, so that recovery is
// quick, the demo's segment and campaign, and the connections to look inside. Used by tests/faults and tests/flow.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jobsInFlow } from '../../cli/demo/counts.ts'
import { type DemoNote, setUpDemo } from '../../cli/demo/setup.ts'
import { startPoolProcess } from '../../cli/local/children.ts'
import type { LocalRedis } from '../../cli/local/redis.ts'
import { DEFAULT_PROCESSES, FREE_PORTS, type Stack, startStack } from '../../cli/local/stack.ts'
import { connectConsumer, type RedisClient, whenReady } from '../../queues/connection.ts'
import { queuePrefix } from '../../queues/define.ts'
import { type Config, readConfig } from '../../runtime/config.ts'
import { connectServers, endAll } from '../../store/servers.ts'
import type { Sql } from '../../store/sql.ts'
import { type Links, openLinks } from '../faults/links.ts'
import { startRedisCluster } from './redis-cluster.ts'
import { waitFor } from './wait-for.ts'

export type Deployment = {
  stack: Stack
  sql: Sql
  /** Each Postgres server, home first. */
  all: readonly [Sql, ...Sql[]]
  redis: RedisClient
  /** The servers that hold the queues: one, or the masters of a cluster (TEST_REDIS=cluster). */
  redisServers: LocalRedis[]
  note: DemoNote
  dataDir: string
  httpUrl: string
  /** Jobs that some worker holds now. */
  activeJobs(queueNames: string[]): Promise<number>
  activeJobIds(queueNames: string[]): Promise<string[]>
  /** Resolves when nothing is on its way any more: no job, no change to announce, no open delivery. */
  settled(timeoutMs: number): Promise<void>
  /** Jobs that were taken from a dead worker, by the logs of all processes. */
  stalledJobs(): Promise<number>
  /** Every log line of all processes. */
  logs(): Promise<string>
  /** The proxies between the processes and their stores and providers; none unless asked for. */
  links: Links
  close(): Promise<void>
}

/** One process a pool, as in a cluster. */
export const PROCESS_A_POOL = [
  ['collector', 'api'],
  ['ingest'],
  ['persist'],
  ['segment'],
  ['deliver'],
  ['archive'],
  ['schedule'],
]

/** With `links` every process reaches Redis, Postgres and the sinks through proxies of its own. */
export async function startDeployment(options: {
  processes?: string[][]
  config?: Partial<Config>
  links?: boolean
  /** Added to the environment of the processes. */
  processEnv?: NodeJS.ProcessEnv
  /** Done to the data folder before anything is started in it; what it returns undoes it after everything has stopped. */
  prepare?: (dataDir: string) => () => void
}): Promise<Deployment> {
  const dataDir = await mkdtemp(join(tmpdir(), 'millrace-faults-'))
  const undo = options.prepare?.(dataDir)
  const config = readConfig(
    {},
    {
      dataDir,
      ...FREE_PORTS,
      shards: 4,
      lockMs: 3000,
      stalledCheckMs: 1000,
      deliverLeaseMs: 3000,
      sweepMs: 2000,
      postgresPoolSize: 4,
      logLevel: 'warn',
      ...options.config,
    },
  )
  const cluster =
    process.env.TEST_REDIS === 'cluster' && config.redisUrl === ''
      ? await startRedisCluster({ dir: join(dataDir, 'redis-cluster'), maxmemoryMb: 512 })
      : undefined
  const processes = options.processes ?? DEFAULT_PROCESSES
  const stack = await startStack({
    config: cluster === undefined ? config : { ...config, redisUrl: cluster.url },
    env: { ...process.env, ...options.processEnv },
    say: () => {},
    postgresConnections: 100,
    processes: options.links === true ? [] : processes,
  })
  const links = openLinks(stack)
  if (options.links === true) await startLinked(stack, links, processes)
  const { redisUrl, namespace } = stack.config
  const all = connectServers({ urls: stack.config, namespace, max: 2, applicationName: 'fault-test' })
  const [sql] = all
  const redis = connectConsumer(redisUrl)
  await whenReady(redis)
  const note = await setUpDemo(sql, dataDir, Date.now())
  const isSettled = async () => {
    if ((await jobsInFlow(redis, stack.config)) > 0) return false
    const open = await Promise.all(
      all.map(
        (one) => one<{ open: number }[]>`
          select (select count(*)::int from membership_changes where announced_at is null)
            + (select count(*)::int from deliveries where state in ('claimed', 'sending', 'waiting')) as open`,
      ),
    )
    return open.flat().every((row) => row.open === 0)
  }
  const activeJobIds = async (queueNames: string[]) => {
    const lists = await Promise.all(
      queueNames.map((name) => redis.lrange(`${queuePrefix(namespace, name)}:${name}:active`, 0, -1)),
    )
    return lists.flat()
  }
  const logs = async () => {
    const dir = join(dataDir, 'logs')
    const texts = await Promise.all((await readdir(dir)).map((name) => readFile(join(dir, name), 'utf8')))
    return texts.join('\n')
  }
  return {
    stack,
    sql,
    all,
    redis,
    redisServers: cluster?.masters ?? (stack.redis === undefined ? [] : [stack.redis]),
    note,
    dataDir,
    httpUrl: stack.addresses().http ?? '',
    activeJobIds,
    activeJobs: async (queueNames) => (await activeJobIds(queueNames)).length,
    async settled(timeoutMs) {
      let looks = 0
      await waitFor(
        async () => {
          looks = (await isSettled()) ? looks + 1 : 0
          return looks >= 5
        },
        { timeoutMs, everyMs: 200, what: 'everything to come to rest' },
      )
    },
    logs,
    async stalledJobs() {
      return (await logs()).split('job taken from a dead or blocked worker').length - 1
    },
    links,
    async close() {
      await endAll(all, 5)
      redis.disconnect()
      links.healAll()
      if (options.links === true) for (const process of stack.processes) await process.stop()
      await links.close()
      await stack.stop()
      await stack.postgres?.destroy()
      await cluster?.stop()
      undo?.()
      if (process.env.KEEP_FAULT_DATA === undefined) await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** Starts the processes of a stack that has none yet, each behind its own proxies. */
async function startLinked(stack: Stack, links: Links, processes: string[][]): Promise<void> {
  const { env, config } = stack
  const started = await Promise.all(
    processes.map(async (pools) =>
      startPoolProcess({
        pools,
        env: { ...env, ...(await links.envOf(pools[0] ?? '')) },
        logDir: join(config.dataDir, 'logs'),
        stopDeadlineMs: config.stopDeadlineMs,
      }),
    ),
  )
  stack.processes.push(...started)
}
