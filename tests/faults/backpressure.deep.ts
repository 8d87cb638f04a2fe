// One channel is dead and the archive is stopped while events keep coming: the door stays open, Redis stays under its
// mark, what the archive had no room for is noted, and once both are back everything is where it belongs.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { pauseQueues, resumeQueues } from '../../queues/control.ts'
import { sampleQueues } from '../../queues/depth.ts'
import { allQueueNames, archive } from '../../queues/pipeline.ts'
import { type Deployment, startDeployment } from '../support/deployment.ts'
import { archiveRecords } from '../support/read-archive.ts'
import { waitFor } from '../support/wait-for.ts'
import { judgeDeliveries, judgeEvents, printTable } from './judge.ts'
import { openLedger, readLedger } from './ledger.ts'
import { BUYERS, buyerIdentities, runLoad, shopping } from './load.ts'

const EVENTS = 40_000
const MAXMEMORY_MB = 64
let deployment: Deployment

beforeAll(async () => {
  deployment = await startDeployment({ config: { localRedisMaxmemoryMb: MAXMEMORY_MB } })
}, 90_000)
afterAll(async () => {
  await deployment?.close()
}, 60_000)

/** Looks at the queues until told to stop; returns the most that ever waited and the most memory Redis used. */
function watchQueues() {
  const { redis, stack } = deployment
  const { namespace, shards } = stack.config
  const most = { memoryPercent: 0, ingestWaiting: 0, persistWaiting: 0, archiveWaiting: 0, emailOpen: 0 }
  let isOver = false
  const look = async () => {
    while (!isOver) {
      const sample = await sampleQueues(redis, namespace, allQueueNames(shards), Date.now())
      const waiting = (name: string) => sample.lanes.get(name)?.waiting ?? 0
      const email = sample.lanes.get('deliver-email')
      const memoryPercent = (sample.usedMemoryBytes / sample.maxMemoryBytes) * 100
      most.memoryPercent = Math.max(most.memoryPercent, Math.round(memoryPercent))
      most.ingestWaiting = Math.max(most.ingestWaiting, waiting('ingest'))
      most.persistWaiting = Math.max(most.persistWaiting, waiting('persist'))
      most.archiveWaiting = Math.max(most.archiveWaiting, waiting('archive'))
      most.emailOpen = Math.max(most.emailOpen, (email?.waiting ?? 0) + (email?.active ?? 0))
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
  const looking = look()
  return async () => {
    isOver = true
    await looking
    return most
  }
}

test('a dead channel and a stopped archive close no door and lose nothing', async () => {
  const { stack, sql, redis, dataDir, note, httpUrl } = deployment
  const ledgerFile = join(dataDir, 'ledger.jsonl')
  const ledger = await openLedger(ledgerFile)
  const startMs = Date.now() - 86_400_000
  const common = { httpUrls: [httpUrl], writeKey: note.writeKey, ledger, connections: 6 }
  await runLoad({
    ...common,
    batchSize: 40,
    messages: buyerIdentities(startMs)[Symbol.iterator](),
    eventsPerSecond: 10_000,
    isEnough: (acked) => acked >= BUYERS,
  })
  await deployment.settled(30_000)

  stack.sinks.pause('email')
  await pauseQueues(redis, stack.config.namespace, [archive.name])
  const stopWatching = watchQueues()
  const started = Date.now()
  // Small batches: the archive's budget is counted in jobs.
  const totals = await runLoad({
    ...common,
    batchSize: 20,
    messages: shopping(startMs),
    eventsPerSecond: 2_000,
    isEnough: (acked) => acked >= EVENTS,
  })
  const seconds = (Date.now() - started) / 1000
  const most = await stopWatching()
  const received = stack.sinks.counts()
  await ledger.close()

  stack.sinks.resume('email')
  await resumeQueues(redis, stack.config.namespace, [archive.name])
  const gaps = await sql<{ all: number; events: number }[]>`
    select count(*)::int as all, coalesce(sum(events), 0)::int as events from archive_gaps`
  await waitFor(
    async () => (await sql`select 1 from archive_gaps where filled_at is null limit 1`).length === 0,
    { timeoutMs: 150_000, everyMs: 500, what: 'the gaps to be filled' },
  )
  await deployment.settled(90_000)

  const events = await judgeEvents(sql, ledgerFile)
  const archived = new Set((await archiveRecords(join(dataDir, 'archive'))).map((record) => record.messageId))
  const notArchived = [...(await readLedger(ledgerFile)).keys()].filter((id) => !archived.has(id)).length
  const buyers = Array.from({ length: BUYERS }, (_, buyer) => `buyer-${buyer}`)
  const deliveries = await judgeDeliveries(sql, join(dataDir, 'outbox'), buyers)
  printTable('One channel dead, the archive stopped', {
    'seconds broken': Math.round(seconds),
    'accepted a second': Math.round(totals.acked / seconds),
    'requests refused': totals.retried,
    most,
    'received meanwhile': received,
    'archive gaps': gaps[0],
    'not archived': notArchived,
    ...events,
    deliveries,
  })
  expect(totals.retried).toBe(0)
  expect(most.memoryPercent).toBeLessThan(stack.config.softMemoryPercent)
  expect(received.push).toBeGreaterThan(BUYERS / 2)
  expect(gaps[0]?.events).toBeGreaterThan(0)
  expect(notArchived).toBe(0)
  expect(events).toMatchObject({ lost: 0, duplicated: 0, phantom: 0, altered: 0, failed: 0 })
  expect(events.acked).toBeGreaterThanOrEqual(EVENTS)
  expect(deliveries).toMatchObject({ expected: BUYERS * 3, doubled: 0, unexpected: 0, missing: 0 })
}, 400_000)
