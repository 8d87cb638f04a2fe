// kill -9 of every pool in turn, each in the midst of its work, while more than 20,000 events are being sent: nothing
// acknowledged is lost, doubled or changed, and of the messages only those in flight at a kill may be missing, recorded.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { queueNames } from '../../queues/define.ts'
import { PIPELINE } from '../../queues/pipeline.ts'
import { type Deployment, PROCESS_A_POOL, startDeployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'
import { judgeDeliveries, judgeEvents, printTable } from './judge.ts'
import { BUYERS, openRun, runLoad, shopping } from './load.ts'

const EVENTS = 20_000
let deployment: Deployment

beforeAll(async () => {
  deployment = await startDeployment({ processes: PROCESS_A_POOL, config: { scheduleTickMs: 100 } })
}, 90_000)
afterAll(async () => {
  await deployment?.close()
}, 60_000)

/**
 * The process stands still while we look, so what is active is active when it dies. Returns how many jobs that was; of
 * the collector, how many requests.
 */
async function killAtWork(pool: string, inFlight: () => number): Promise<number> {
  const { stack, activeJobs } = deployment
  const contract = PIPELINE.find((candidate) => candidate.name === pool)
  const process = stack.processOf(pool)
  const restarts = process.restarts()
  const look = async () =>
    contract === undefined ? inFlight() : activeJobs(queueNames(contract, stack.config.shards))
  let active = 0
  for (let tries = 0; tries < 250 && active === 0; tries++) {
    process.kill('SIGSTOP')
    active = await look()
    if (active > 0 || tries === 249) break
    process.kill('SIGCONT')
    await new Promise((resolve) => setTimeout(resolve, 10 + Math.random() * 20))
  }
  process.kill('SIGKILL')
  await waitFor(
    async () =>
      process.restarts() > restarts && (await fetch(`${process.addresses().probes}/healthz`)).status === 200,
    { timeoutMs: 20_000, what: `${pool} to be back` },
  )
  return active
}

test('no pool’s death in the midst of its work loses, doubles or changes anything', async () => {
  const { stack, sql, dataDir } = deployment
  const { ledgerFile, ledger, startMs, common } = await openRun(deployment, 40)

  let killsDone = false
  let inFlight = 0
  const load = runLoad({
    ...common,
    messages: shopping(startMs),
    eventsPerSecond: 1000,
    isEnough: (acked) => killsDone && acked >= EVENTS,
    onInFlight: (requests) => {
      inFlight = requests
    },
  })
  const kills: Record<string, number> = {}
  for (const pool of [
    'persist',
    'deliver',
    'collector',
    'ingest',
    'segment',
    'archive',
    'schedule',
    'deliver',
  ]) {
    const active = await killAtWork(pool, () => inFlight)
    kills[pool] = (kills[pool] ?? 0) + active
  }
  killsDone = true
  const totals = await load
  await ledger.close()
  await deployment.settled(90_000)

  const events = await judgeEvents(sql, ledgerFile)
  const buyers = Array.from({ length: BUYERS }, (_, buyer) => `buyer-${buyer}`)
  const deliveries = await judgeDeliveries(sql, join(dataDir, 'outbox'), buyers)
  const stalled = await deployment.stalledJobs()
  const restarts = stack.processes.reduce((sum, process) => sum + process.restarts(), 0)
  printTable('kill -9 of each pool in turn', {
    'active at the kill': kills,
    'stalled jobs': stalled,
    restarts,
    'requests sent again': totals.retried,
    ...events,
    deliveries,
  })
  expect(events).toMatchObject({ lost: 0, duplicated: 0, phantom: 0, altered: 0, failed: 0 })
  expect(events.acked).toBeGreaterThanOrEqual(EVENTS)
  expect(restarts).toBe(8)
  for (const pool of ['collector', 'persist', 'deliver', 'ingest', 'segment', 'archive'])
    expect(kills[pool]).toBeGreaterThan(0)
  expect(stalled).toBeGreaterThan(0)
  expect(deliveries).toMatchObject({ expected: BUYERS * 3, doubled: 0, unexpected: 0, missing: 0 })
  expect(deliveries.received).toBeGreaterThan(0)
}, 240_000)
