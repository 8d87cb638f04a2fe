// More than it can take: four times the rate it can hold for a minute, and twice that rate for five. Its rate is made
// small by a narrow line to Postgres, so that the sender on the same machine can exceed it, and is measured first.
import { readFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sampleQueues } from '../../queues/depth.ts'
import { allQueueNames } from '../../queues/pipeline.ts'
import { type Deployment, PROCESS_A_POOL, startDeployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'
import { judgeEvents, printTable } from './judge.ts'
import { openLedger } from './ledger.ts'
import { type Answer, postForAnswer, runLoad, shopping } from './load.ts'

const MAXMEMORY_MB = 128
/** One event is about this many bytes on the line to Postgres. */
const LINE_BYTES_PER_SECOND = 600_000
let deployment: Deployment
let sustainable = 0

beforeAll(async () => {
  deployment = await startDeployment({
    processes: PROCESS_A_POOL,
    links: true,
    config: {
      localRedisMaxmemoryMb: MAXMEMORY_MB,
      softDepthJobs: 300,
      hardDepthJobs: 600,
      softAgeMs: 15_000,
    },
  })
  deployment.links.of('persist', 'postgres').set({ bytesPerSecond: LINE_BYTES_PER_SECOND })
}, 120_000)
afterAll(async () => {
  await deployment?.close()
}, 120_000)

const rows = async () => {
  const [row] = await deployment.sql<{ kept: number }[]>`select count(*)::int as kept from events`
  return row?.kept ?? 0
}

/** Resident memory of every process and of Redis, looked at until told to stop; the most of each, MB. */
function watchMemory() {
  const { stack, redis } = deployment
  const most = new Map<string, number>()
  let mostRedis = 0
  const timer = setInterval(async () => {
    for (const process of stack.processes) {
      const name = process.pools[0] ?? ''
      const status = readFileSync(`/proc/${process.pid()}/status`, 'utf8')
      const megabytes = Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024)
      most.set(name, Math.max(most.get(name) ?? 0, megabytes))
    }
    const { namespace, shards } = stack.config
    const sample = await sampleQueues(redis, namespace, allQueueNames(shards), Date.now()).catch(
      () => undefined,
    )
    if (sample !== undefined)
      mostRedis = Math.max(mostRedis, Math.round((sample.usedMemoryBytes / sample.maxMemoryBytes) * 100))
  }, 500)
  return () => {
    clearInterval(timer)
    return { processesMb: Object.fromEntries(most), redisPercent: mostRedis }
  }
}

/** Sends at `eventsPerSecond`, whatever is answered; a batch that is not taken is sent again in its turn. */
async function overload(prefix: string, eventsPerSecond: number, forMs: number) {
  const ledgerFile = join(deployment.dataDir, `ledger-${prefix}.jsonl`)
  const ledger = await openLedger(ledgerFile)
  const answers: Record<string, number> = {}
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const note = ({ status, retryAfter }: Answer) => {
    const name = status === 200 ? '200' : `${status}${retryAfter === undefined ? ' without Retry-After' : ''}`
    answers[name] = (answers[name] ?? 0) + 1
  }
  const until = Date.now() + forMs
  const totals = await runLoad({
    httpUrls: [deployment.httpUrl],
    writeKey: deployment.note.writeKey,
    ledger,
    messages: shopping(Date.now() - 86_400_000, { prefix, buyers: 0 }),
    batchSize: 40,
    connections: 48,
    eventsPerSecond,
    isEnough: () => Date.now() >= until,
    send: async (url, batch) => {
      const answer = await postForAnswer(agent, url, deployment.note.writeKey, batch)
      note(answer)
      return answer.outcome
    },
  })
  agent.destroy()
  await ledger.close()
  return { ledgerFile, answers, ...totals }
}

test('what it can hold behind a narrow line is measured', async () => {
  await overload('m0-', 8000, 8_000)
  const before = await rows()
  const startedAt = performance.now()
  await overload('m1-', 8000, 15_000)
  sustainable = Math.round(((await rows()) - before) / ((performance.now() - startedAt) / 1000))
  await deployment.settled(120_000)
  printTable('Behind a narrow line', { 'events a second': sustainable })
  expect(sustainable).toBeGreaterThan(100)
}, 240_000)

test.each([
  { row: 'b4', times: 4, seconds: 60, drainedWithinMs: 60_000 },
  { row: 'b2', times: 2, seconds: 300, drainedWithinMs: 60_000 },
])(
  'row 38$row: $times times what it can hold for $seconds s is taken or refused with Retry-After, and drains',
  async ({ row, times, seconds, drainedWithinMs }) => {
    const stopWatching = watchMemory()
    const { ledgerFile, answers, acked, retried } = await overload(
      `${row}-`,
      sustainable * times,
      seconds * 1000,
    )
    const endedAt = performance.now()
    await waitFor(
      async () => (await deployment.activeJobs(['ingest', 'persist'])) === 0 && (await isDrained()),
      { timeoutMs: drainedWithinMs * 2, everyMs: 200, what: 'the backlog to drain' },
    )
    const drainedMs = Math.round(performance.now() - endedAt)
    await deployment.settled(120_000)
    const most = stopWatching()
    const events = await judgeEvents(deployment.sql, ledgerFile, `${row}-`)
    printTable(`${times} times ${sustainable} events a second for ${seconds} s`, {
      answers,
      acked,
      'requests sent again': retried,
      'drained after, ms': drainedMs,
      most,
      events,
    })
    expect(
      Object.keys(answers).filter((name) => !/^(200|429|503)$/.test(name)),
      'answers without a promise',
    ).toEqual([])
    expect(retried, 'it was more than it can take').toBeGreaterThan(0)
    expect(drainedMs, 'ms until the backlog had drained').toBeLessThan(drainedWithinMs)
    expect(events, 'every event exactly once').toMatchObject({
      lost: 0,
      duplicated: 0,
      altered: 0,
      failed: 0,
    })
    expect(most.redisPercent, 'Redis memory, % of its limit').toBeLessThan(70)
    for (const [name, megabytes] of Object.entries(most.processesMb))
      expect(megabytes, `most memory of ${name}, MB`).toBeLessThan(700)
    expect(deployment.stack.processes.map((process) => process.restarts())).toEqual([0, 0, 0, 0, 0, 0, 0])
  },
  700_000,
)

async function isDrained(): Promise<boolean> {
  const { redis, stack } = deployment
  const sample = await sampleQueues(redis, stack.config.namespace, ['ingest', 'persist'], Date.now())
  return [...sample.lanes.values()].every((lane) => lane.waiting + lane.delayed === 0)
}
