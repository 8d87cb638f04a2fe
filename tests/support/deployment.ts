// A whole deployment with servers of its own, which a fault test may kill: short locks and leases, so that recovery is
// quick, the demo's segment and campaign, and the connections to look inside. Used by tests/faults and tests/flow.
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jobsInFlow } from '../../cli/demo/counts.ts'
import { type DemoNote, setUpDemo } from '../../cli/demo/setup.ts'
import type { LocalRedis } from '../../cli/local/redis.ts'
import { type Stack, startStack } from '../../cli/local/stack.ts'
import type { RedisClient } from '../../queues/connection.ts'
import { connectConsumer, whenReady } from '../../queues/connection.ts'
import { queuePrefix } from '../../queues/define.ts'
import { type Config, readConfig } from '../../runtime/config.ts'
import { connectSql, type Sql } from '../../store/sql.ts'
import { startRedisCluster } from './redis-cluster.ts'
import { waitFor } from './wait-for.ts'

export type Deployment = {
  stack: Stack
  sql: Sql
  redis: RedisClient
  /** The servers that hold the queues: one, or the masters of a cluster (TEST_REDIS=cluster). */
  redisServers: LocalRedis[]
  note: DemoNote
  dataDir: string
  httpUrl: string
  /** Jobs that some worker holds now. */
  activeJobs(queueNames: string[]): Promise<number>
  /** Resolves when nothing is on its way any more: no job, no change to announce, no open delivery. */
  settled(timeoutMs: number): Promise<void>
  /** Jobs that were taken from a dead worker, by the logs of all processes. */
  stalledJobs(): Promise<number>
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

export async function startDeployment(options: {
  processes?: string[][]
  config?: Partial<Config>
}): Promise<Deployment> {
  const dataDir = await mkdtemp(join(tmpdir(), 'millrace-faults-'))
  const config = readConfig(
    {},
    {
      dataDir,
      httpPort: 0,
      dashboardPort: 0,
      exporterPort: 0,
      outboxPort: 0,
      localPostgresPort: 0,
      localRedisPort: 0,
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
  const stack = await startStack({
    config: cluster === undefined ? config : { ...config, redisUrl: cluster.url },
    env: process.env,
    say: () => {},
    postgresConnections: 100,
    ...(options.processes === undefined ? {} : { processes: options.processes }),
  })
  const { databaseUrl, redisUrl, namespace } = stack.config
  const sql = connectSql({ url: databaseUrl, namespace, max: 2, applicationName: 'fault-test' })
  const redis = connectConsumer(redisUrl)
  await whenReady(redis)
  const note = await setUpDemo(sql, dataDir, Date.now())
  const isSettled = async () => {
    if ((await jobsInFlow(redis, stack.config)) > 0) return false
    const [row] = await sql<{ open: number }[]>`
      select (select count(*)::int from membership_changes where announced_at is null)
        + (select count(*)::int from deliveries where state in ('claimed', 'sending', 'waiting')) as open`
    return row?.open === 0
  }
  return {
    stack,
    sql,
    redis,
    redisServers: cluster?.masters ?? (stack.redis === undefined ? [] : [stack.redis]),
    note,
    dataDir,
    httpUrl: stack.addresses().http ?? '',
    async activeJobs(queueNames) {
      const counts = await Promise.all(
        queueNames.map((name) => redis.llen(`${queuePrefix(namespace, name)}:${name}:active`)),
      )
      return counts.reduce((sum, count) => sum + count, 0)
    },
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
    async stalledJobs() {
      const dir = join(dataDir, 'logs')
      const texts = await Promise.all((await readdir(dir)).map((name) => readFile(join(dir, name), 'utf8')))
      return texts.join('\n').split('job taken from a dead or blocked worker').length - 1
    },
    async close() {
      await sql.end({ timeout: 5 })
      redis.disconnect()
      await stack.stop()
      await cluster?.stop()
      if (process.env.KEEP_FAULT_DATA === undefined) await rm(dataDir, { recursive: true, force: true })
    },
  }
}
