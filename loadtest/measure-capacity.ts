// Measures what an event costs in every pool, in Postgres and in Redis, and writes domain/capacity.json, which the plan,
// the simulator and the capacity table stand on: `node loadtest/measure-capacity.ts`. Own servers, one process a pool, so
// that CPU time can be told apart; CPU time says what a core can do, whatever else the machine does.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, loadavg, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { openHttpLoad } from '../cli/bench/load.ts'
import { cpuSecondsOf, cpuSecondsOfTree } from '../cli/bench/measure.ts'
import { type Bench, endToEnd, memoryPerQueuedEvent, singleEvents } from '../cli/bench/phases.ts'
import { waitUntilDrained } from '../cli/demo/counts.ts'
import { setUpDemo } from '../cli/demo/setup.ts'
import { startPoolProcess } from '../cli/local/children.ts'
import { type Stack, startStack } from '../cli/local/stack.ts'
import type { Capacity } from '../domain/capacity.ts'
import { addedCounts } from '../queues/activity.ts'
import type { RedisClient } from '../queues/connection.ts'
import { connectProducer, whenReady } from '../queues/connection.ts'
import { allQueueNames } from '../queues/pipeline.ts'
import { readConfig } from '../runtime/config.ts'
import { connectSql, type Sql } from '../store/sql.ts'
import { commitOf } from './commit.ts'
import { buildRequest } from './payload.ts'

const EVENTS = 400_000
const SPENDERS = 1_500
const SINGLES_SECONDS = 10
const USERS = 10_000
const FILE = join(import.meta.dirname, '../domain/capacity.json')

/** One pool a process; what shares a process cannot be told apart. */
const PROCESSES = [
  ['collector'],
  ['ingest'],
  ['persist'],
  ['segment'],
  ['deliver'],
  ['archive'],
  ['schedule'],
]

const dataDir = mkdtempSync(join(tmpdir(), 'millrace-capacity-'))
const config = readConfig(
  {},
  {
    dataDir,
    httpPort: 0,
    outboxPort: 0,
    localPostgresPort: 0,
    localRedisPort: 0,
    localRedisMaxmemoryMb: 2048,
    localPostgresBuffersMb: 512,
  },
)
const say = (text: string) => console.log(`  ${text}`)
const stack = await startStack({
  config,
  env: process.env,
  say,
  processes: PROCESSES,
  postgresConnections: 100,
})
const { databaseUrl, redisUrl, namespace } = stack.config
const sql = connectSql({
  url: databaseUrl,
  namespace,
  max: 2,
  applicationName: 'capacity',
  statementTimeoutMs: 300_000,
})
const redis = connectProducer(redisUrl)
try {
  await whenReady(redis)
  const { writeKey } = await setUpDemo(sql, dataDir, Date.now())
  const bench: Bench = { stack, sql, redis, writeKey, users: USERS, run: `c${Date.now().toString(36)}` }
  say('warming up')
  await endToEnd(bench, 16 * USERS)
  const capacity = await measure(bench)
  writeFileSync(FILE, `${JSON.stringify(capacity, null, 2)}\n`)
  console.log(JSON.stringify(capacity, null, 2))
} finally {
  await sql.end({ timeout: 5 })
  redis.disconnect()
  await stack.stop()
  await stack.postgres?.destroy()
  rmSync(dataDir, { recursive: true, force: true })
}

async function measure(bench: Bench): Promise<Capacity> {
  say(`${EVENTS} events in batches of 100`)
  const names = allQueueNames(config.shards)
  const jobsBefore = await addedCounts(redis, namespace, names)
  const whole = await endToEnd(bench, EVENTS)
  const jobsAfter = await addedCounts(redis, namespace, names)
  const jobsOf = (queue: string) =>
    names
      .filter((name) => name === queue || name.startsWith(`${queue}-`))
      .reduce((sum, name) => sum + (jobsAfter.get(name) ?? 0) - (jobsBefore.get(name) ?? 0), 0)
  const bytes = await storedBytes(sql)
  say(`${SPENDERS} people enter the segment; each gets three messages`)
  const delivery = await measureDeliveries(bench.writeKey)
  say(`single events for ${SINGLES_SECONDS} s`)
  const cpuMicrosecondsPerSingleRequest = await measureSingles(bench)
  say('memory of waiting events')
  const redisBytesPerWaitingEvent = await memoryPerQueuedEvent(bench, 20_000)
  return {
    measured: {
      machine: `${cpus().length} x ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`,
      commit: commitOf(),
      date: new Date().toISOString().slice(0, 10),
      loadAverage: round(loadavg()[0] ?? 0, 2),
      eventsPerSecond: Math.round(whole.eventsPerSecond),
    },
    cpuMicrosecondsPerEvent: {
      collector: round(whole.cpu.collector ?? 0),
      ingest: round(whole.cpu.ingest ?? 0),
      persist: round(whole.cpu.persist ?? 0),
      segment: round(whole.cpu.segment ?? 0),
      archive: round(whole.cpu.archive ?? 0),
      postgres: round(whole.cpu.postgres ?? 0),
      redis: round(whole.cpu.redis ?? 0),
    },
    cpuMicrosecondsPerSingleRequest,
    cpuMicrosecondsPerDelivery: delivery,
    eventsPerJob: {
      ingest: round(EVENTS / jobsOf('ingest')),
      persist: round(EVENTS / jobsOf('persist')),
      segment: round(EVENTS / jobsOf('segment')),
      archive: round(EVENTS / jobsOf('archive')),
    },
    postgresBytesPerEvent: Math.round(bytes),
    redisBytesPerWaitingEvent: Math.round(redisBytesPerWaitingEvent),
    processStartSeconds: round(await startSeconds(stack), 2),
  }
}

/** CPU of the collector where each request brings one event. */
async function measureSingles(bench: Bench): Promise<number> {
  const pid = stack.processOf('collector').pid() ?? 0
  const before = cpuSecondsOf(pid)
  const { accepted } = await singleEvents(bench, SINGLES_SECONDS, 100)
  return round(((cpuSecondsOf(pid) - before) / accepted) * 1e6)
}

/** Everything in Postgres, indexes included, over the events that it holds. */
async function storedBytes(sql: Sql): Promise<number> {
  const [row] = await sql<{ bytes: number }[]>`
    select (select sum(pg_total_relation_size(c.oid)) from pg_class c
      where c.relnamespace = to_regnamespace(${namespace}) and c.relkind = 'r')::float8
      / (select count(*) from events) as bytes`
  return row?.bytes ?? 0
}

/** CPU of the deliver process and of Postgres a message, from the entry to the sinks' answers. */
async function measureDeliveries(writeKey: string): Promise<Capacity['cpuMicrosecondsPerDelivery']> {
  const load = openHttpLoad({ url: stack.addresses().http ?? '', writeKey, connections: 8 })
  const shape = { run: `d${Date.now().toString(36)}`, nowMs: Date.now(), users: USERS, batchEvents: 100 }
  const deliverPid = stack.processOf('deliver').pid() ?? 0
  const read = () => ({
    deliver: cpuSecondsOf(deliverPid),
    postgres: cpuSecondsOfTree(stack.postgres?.pid ?? 0),
  })
  const sentBefore = messages(stack)
  const before = read()
  let next = 0
  const lane = async () => {
    while (next < SPENDERS) {
      const { path, body } = buildRequest('spender', next++, shape)
      const status = await load.post(path, body)
      if (status !== 200) throw new Error(`the collector answered ${status}`)
    }
  }
  await Promise.all(Array.from({ length: 8 }, lane))
  await settle(redis)
  load.close()
  const after = read()
  const sent = messages(stack) - sentBefore
  if (sent !== SPENDERS * 3) throw new Error(`${sent} messages came, ${SPENDERS * 3} were expected`)
  const each = (from: number, to: number) => Math.round(((to - from) / sent) * 1e6)
  return { deliver: each(before.deliver, after.deliver), postgres: each(before.postgres, after.postgres) }
}

/** Entries are announced after their transaction: empty queues alone do not say that all messages are out. */
async function settle(redis: RedisClient): Promise<void> {
  const deadline = Date.now() + 120_000
  for (let last = -1; ; ) {
    await waitUntilDrained(redis, stack.config, 120_000)
    const now = messages(stack)
    if (now === last || Date.now() > deadline) return
    last = now
    await new Promise((resolve) => setTimeout(resolve, 1_000))
  }
}

function messages({ sinks }: Stack): number {
  const { email, push, webhook } = sinks.counts()
  return email + push + webhook
}

/** From spawn until it takes jobs: the part of a pod's start that is ours. */
async function startSeconds({ env, config }: Stack): Promise<number> {
  const startedAt = performance.now()
  const one = await startPoolProcess({
    pools: ['persist'],
    env,
    logDir: join(config.dataDir, 'logs'),
    stopDeadlineMs: config.stopDeadlineMs,
  })
  const seconds = (performance.now() - startedAt) / 1000
  await one.stop()
  return seconds
}

function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits))
}
