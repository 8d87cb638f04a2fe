// The phases of the benchmark, each a function over a running stack: batches as fast as they go, single events for a
// while, a steady rate, and what a waiting event costs in Redis.
import type { RedisClient } from '../../queues/connection.ts'
import { pauseQueues, resumeQueues } from '../../queues/control.ts'
import type { Sql } from '../../store/sql.ts'
import { jobsInFlow, readCounter, waitUntilDrained } from '../demo/counts.ts'
import type { Stack } from '../local/stack.ts'
import { eventText, type HttpLoad, openHttpLoad } from './load.ts'
import { cpuSecondsOf, cpuSecondsOfTree, histogramQuantile, quantile, readHistogram } from './measure.ts'

export type Bench = {
  stack: Stack
  sql: Sql
  redis: RedisClient
  writeKey: string
  users: number
  run: string
}

const BATCH = 100
/** Batches under way at once. */
const LANES = 24
let sequence = 0

function batchText(bench: Bench): string {
  const now = Date.now()
  const events: string[] = []
  for (let i = 0; i < BATCH; i++)
    events.push(eventText('server', bench.run, sequence++, { users: bench.users, nowMs: now }))
  return `{"batch":[${events.join(',')}]}`
}

/** Posts one body until it is accepted: a shed request is sent again, as SDKs do. Returns how often it was shed. */
async function postAccepted(load: HttpLoad, path: string, body: string): Promise<number> {
  for (let shed = 0; ; shed++) {
    const status = await load.post(path, body)
    if (status === 200) return shed
    if (status !== 429 && status !== 503) throw new Error(`the collector answered ${status}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

export type EndToEnd = {
  events: number
  seconds: number
  eventsPerSecond: number
  shed: number
  cpu: Record<string, number>
}

/** From the first request until the last row is in Postgres; also waits until every queue is empty. */
export async function endToEnd(bench: Bench, events: number): Promise<EndToEnd> {
  const load = open(bench, LANES)
  const before = await keptEvents(bench)
  const cpuBefore = readCpu(bench)
  const startedAt = performance.now()
  let left = events / BATCH
  let shed = 0
  const lane = async () => {
    while (left > 0) {
      left -= 1
      shed += await postAccepted(load, '/v1/batch', batchText(bench))
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  // The counter goes up after the commit; counting rows would cost what is being measured.
  while ((await keptEvents(bench)) < before + events) await new Promise((resolve) => setTimeout(resolve, 50))
  const seconds = (performance.now() - startedAt) / 1000
  await waitUntilDrained(bench.redis, bench.stack.config, 300_000)
  const cpuAfter = readCpu(bench)
  load.close()
  const cpu = Object.fromEntries(
    Object.entries(cpuAfter).map(([name, value]) => [
      name,
      ((value - (cpuBefore[name] ?? 0)) / events) * 1e6,
    ]),
  )
  return { events, seconds, eventsPerSecond: events / seconds, shed, cpu }
}

/** Rows committed by the persist processes since they started. */
async function keptEvents({ stack }: Bench): Promise<number> {
  const persisting = stack.processes.filter((one) => one.pools.includes('persist'))
  const counts = await Promise.all(
    persisting.map((one) =>
      readCounter(`${one.addresses().probes}/metrics`, 'millrace_events_total', [
        'stage="persist"',
        'verdict="kept"',
      ]),
    ),
  )
  return counts.reduce((sum, count) => sum + count, 0)
}

/** CPU seconds so far, by process; of several with the same pools, together. */
export function readCpu({ stack }: Bench): Record<string, number> {
  const seconds: Record<string, number> = {}
  for (const one of stack.processes) {
    const name = one.pools.join('+')
    seconds[name] = (seconds[name] ?? 0) + cpuSecondsOf(one.pid() ?? 0)
  }
  return {
    ...seconds,
    postgres: [stack.postgres, ...stack.morePostgres].reduce(
      (sum, server) => sum + (server === undefined ? 0 : cpuSecondsOfTree(server.pid)),
      0,
    ),
    redis: stack.redis === undefined ? 0 : cpuSecondsOf(stack.redis.pid),
    generator: cpuSecondsOf(process.pid),
  }
}

export type Singles = {
  requestsPerSecond: number
  seconds: number
  accepted: number
  shed: number
  acceptP50Ms: number
  acceptP99Ms: number
  queuedAtEnd: number
}

/** One event a request over kept-alive connections, as fast as they are answered. */
export async function singleEvents(bench: Bench, seconds: number, connections: number): Promise<Singles> {
  const load = open(bench, connections)
  const latencies: number[] = []
  const until = performance.now() + seconds * 1000
  let accepted = 0
  let shed = 0
  const lane = async () => {
    while (performance.now() < until) {
      const body = eventText('browser', bench.run, sequence++, { users: bench.users, nowMs: Date.now() })
      const startedAt = performance.now()
      shed += await postAccepted(load, '/v1/track', body)
      accepted += 1
      if (accepted % 8 === 0) latencies.push(performance.now() - startedAt)
    }
  }
  await Promise.all(Array.from({ length: connections }, lane))
  const queuedAtEnd = await jobsInFlow(bench.redis, bench.stack.config)
  await waitUntilDrained(bench.redis, bench.stack.config, 300_000)
  load.close()
  return {
    requestsPerSecond: accepted / seconds,
    seconds,
    accepted,
    shed,
    acceptP50Ms: quantile(latencies, 0.5),
    acceptP99Ms: quantile(latencies, 0.99),
    queuedAtEnd,
  }
}

export type Accepting = { acceptP50Ms: number; acceptP95Ms: number; acceptP99Ms: number }

/** Single events at a fixed rate, whatever the answers do (an open loop); a latency counts from when its request was due. */
export async function singlesAtRate(
  bench: Bench,
  options: { ratePerSecond: number; seconds: number; connections: number },
): Promise<Accepting> {
  const { ratePerSecond, seconds } = options
  const load = open(bench, options.connections)
  const latencies: number[] = []
  const pending = new Set<Promise<unknown>>()
  const total = Math.round(ratePerSecond * seconds)
  const startedAt = performance.now()
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.floor(((performance.now() - startedAt) * ratePerSecond) / 1000))
    for (; sent < due; sent++) {
      const dueAt = startedAt + (sent * 1000) / ratePerSecond
      const body = eventText('browser', bench.run, sequence++, { users: bench.users, nowMs: Date.now() })
      const answered = postAccepted(load, '/v1/track', body).then(() => {
        latencies.push(performance.now() - dueAt)
        pending.delete(answered)
      })
      pending.add(answered)
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(pending)
  await waitUntilDrained(bench.redis, bench.stack.config, 300_000)
  load.close()
  return {
    acceptP50Ms: quantile(latencies, 0.5),
    acceptP95Ms: quantile(latencies, 0.95),
    acceptP99Ms: quantile(latencies, 0.99),
  }
}

export type Steady = {
  ratePerSecond: number
  acceptP50Ms: number
  acceptP99Ms: number
  persistedP99Ms: number
  membershipP50Ms: number
  membershipP99Ms: number
}

/** Batches at a fixed rate, whatever the answers do (an open loop): latencies as users would see them. */
export async function steadyRate(bench: Bench, ratePerSecond: number, seconds: number): Promise<Steady> {
  const load = open(bench, 16)
  const persistUrl = `${bench.stack.processOf('persist').addresses().probes}/metrics`
  const segmentUrl = `${bench.stack.processOf('segment').addresses().probes}/metrics`
  const persistedBefore = await readHistogram(persistUrl, 'millrace_event_to_persisted_seconds')
  const membershipBefore = await readHistogram(segmentUrl, 'millrace_event_to_membership_seconds')
  const latencies: number[] = []
  const pending: Promise<void>[] = []
  const startedAt = performance.now()
  for (let i = 0; i < (ratePerSecond / BATCH) * seconds; i++) {
    const dueAt = startedAt + (i * 1000 * BATCH) / ratePerSecond
    const wait = dueAt - performance.now()
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait))
    const answered = postAccepted(load, '/v1/batch', batchText(bench)).then(() => {
      latencies.push(performance.now() - dueAt)
    })
    // Met below; a collector that goes away before, as in a run that is interrupted, must not end the process.
    answered.catch(() => {})
    pending.push(answered)
  }
  await Promise.all(pending)
  await waitUntilDrained(bench.redis, bench.stack.config, 300_000)
  load.close()
  const persistedAfter = await readHistogram(persistUrl, 'millrace_event_to_persisted_seconds')
  const membershipAfter = await readHistogram(segmentUrl, 'millrace_event_to_membership_seconds')
  return {
    ratePerSecond,
    acceptP50Ms: quantile(latencies, 0.5),
    acceptP99Ms: quantile(latencies, 0.99),
    persistedP99Ms: histogramQuantile(persistedBefore, persistedAfter, 0.99) * 1000,
    membershipP50Ms: histogramQuantile(membershipBefore, membershipAfter, 0.5) * 1000,
    membershipP99Ms: histogramQuantile(membershipBefore, membershipAfter, 0.99) * 1000,
  }
}

/** Bytes of Redis memory that one event waiting in `ingest` takes. */
export async function memoryPerQueuedEvent(bench: Bench, events: number): Promise<number> {
  const { redis, stack } = bench
  const usedMemory = async () => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1] ?? 0)
  await pauseQueues(redis, stack.config.namespace, ['ingest'])
  const load = open(bench, 4)
  const before = await usedMemory()
  for (let i = 0; i < events / BATCH; i++) await postAccepted(load, '/v1/batch', batchText(bench))
  const bytes = ((await usedMemory()) - before) / events
  load.close()
  await resumeQueues(redis, stack.config.namespace, ['ingest'])
  await waitUntilDrained(redis, stack.config, 120_000)
  return bytes
}

function open(bench: Bench, connections: number): HttpLoad {
  return openHttpLoad({ url: bench.stack.addresses().http ?? '', writeKey: bench.writeKey, connections })
}
