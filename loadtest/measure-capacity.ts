// Measures what an event costs in every pool, in Postgres and in Redis, and writes domain/capacity.json, which the plan,
// the simulator and the capacity table stand on: `node loadtest/measure-capacity.ts`. Own servers, one process a pool, so
// that CPU time can be told apart; CPU time says what a core can do, whatever else the machine does.
import { writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { join } from 'node:path'
import { openHttpLoad } from '../cli/bench/load.ts'
import { cpuSecondsOf, cpuSecondsOfTree } from '../cli/bench/measure.ts'
import { machineText, withOwnServers } from '../cli/bench/own-servers.ts'
import { type Bench, endToEnd, memoryPerQueuedEvent, singleEvents } from '../cli/bench/phases.ts'
import { waitUntilDrained } from '../cli/demo/counts.ts'
import { startPoolProcess } from '../cli/local/children.ts'
import type { Stack } from '../cli/local/stack.ts'
import type { Capacity } from '../domain/capacity.ts'
import { addedCounts } from '../queues/activity.ts'
import { allQueueNames } from '../queues/pipeline.ts'
import type { Sql } from '../store/sql.ts'
import { commitOf } from './commit.ts'
import { buildRequest } from './payload.ts'

const EVENTS = 400_000
const SPENDERS = 1_500
const SINGLES_SECONDS = 10
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

const say = (text: string) => console.log(`  ${text}`)
const capacity = await withOwnServers(
  {
    name: 'capacity',
    env: process.env,
    say,
    config: { localPostgresBuffersMb: 512 },
    processes: PROCESSES,
    postgresConnections: 100,
  },
  async (bench) => {
    say('warming up')
    await endToEnd(bench, 16 * bench.users)
    return measure(bench)
  },
)
writeFileSync(FILE, `${JSON.stringify(capacity, null, 2)}\n`)
console.log(JSON.stringify(capacity, null, 2))

async function measure(bench: Bench): Promise<Capacity> {
  const { stack, sql, redis } = bench
  const { namespace, shards } = stack.config
  say(`${EVENTS} events in batches of 100`)
  const names = allQueueNames(shards)
  const jobsBefore = await addedCounts(redis, namespace, names)
  const whole = await endToEnd(bench, EVENTS)
  const jobsAfter = await addedCounts(redis, namespace, names)
  const jobsOf = (queue: string) =>
    names
      .filter((name) => name === queue || name.startsWith(`${queue}-`))
      .reduce((sum, name) => sum + (jobsAfter.get(name) ?? 0) - (jobsBefore.get(name) ?? 0), 0)
  const bytes = await storedBytes(sql, namespace)
  say(`${SPENDERS} people enter the segment; each gets three messages`)
  const delivery = await measureDeliveries(bench)
  say(`single events for ${SINGLES_SECONDS} s`)
  const cpuMicrosecondsPerSingleRequest = await measureSingles(bench)
  say('memory of waiting events')
  const redisBytesPerWaitingEvent = await memoryPerQueuedEvent(bench, 20_000)
  return {
    measured: {
      machine: machineText(),
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
  const pid = bench.stack.processOf('collector').pid() ?? 0
  const before = cpuSecondsOf(pid)
  const { accepted } = await singleEvents(bench, SINGLES_SECONDS, 100)
  return round(((cpuSecondsOf(pid) - before) / accepted) * 1e6)
}

/** Everything in Postgres, indexes included, over the events that it holds. */
async function storedBytes(sql: Sql, namespace: string): Promise<number> {
  const [row] = await sql<{ bytes: number }[]>`
    select (select sum(pg_total_relation_size(c.oid)) from pg_class c
      where c.relnamespace = to_regnamespace(${namespace}) and c.relkind = 'r')::float8
      / (select count(*) from events) as bytes`
  return row?.bytes ?? 0
}

/** CPU of the deliver process and of Postgres a message, from the entry to the sinks' answers. */
async function measureDeliveries(bench: Bench): Promise<Capacity['cpuMicrosecondsPerDelivery']> {
  const { stack, writeKey, users } = bench
  const load = openHttpLoad({ url: stack.addresses().http ?? '', writeKey, connections: 8 })
  const shape = { run: `d${Date.now().toString(36)}`, nowMs: Date.now(), users, batchEvents: 100 }
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
  await settle(bench)
  load.close()
  const after = read()
  const sent = messages(stack) - sentBefore
  if (sent !== SPENDERS * 3) throw new Error(`${sent} messages came, ${SPENDERS * 3} were expected`)
  const each = (from: number, to: number) => Math.round(((to - from) / sent) * 1e6)
  return { deliver: each(before.deliver, after.deliver), postgres: each(before.postgres, after.postgres) }
}

/** Entries are announced after their transaction: empty queues alone do not say that all messages are out. */
async function settle({ redis, stack }: Bench): Promise<void> {
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
