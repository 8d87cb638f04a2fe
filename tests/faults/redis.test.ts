// Redis is killed (-9) in the midst of the load and started again on its data: what was answered with 2xx was on its
// disk, so nothing of it is lost, and every pool goes on by itself. In a cluster its masters are killed in turn.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Deployment, startDeployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'
import { judgeDeliveries, judgeEvents, printTable } from './judge.ts'
import { BUYERS, openRun, runLoad, shopping } from './load.ts'

const EVENTS = 20_000
const KILLS = 3
let deployment: Deployment

beforeAll(async () => {
  deployment = await startDeployment({})
}, 90_000)
afterAll(async () => {
  await deployment?.close()
}, 60_000)

test('a killed Redis loses nothing that was acknowledged, and everything goes on when it is back', async () => {
  const { stack, sql, dataDir, redisServers } = deployment
  const { ledgerFile, ledger, startMs, common } = await openRun(deployment, 40)

  let acked = 0
  let killsDone = false
  const load = runLoad({
    ...common,
    messages: shopping(startMs),
    eventsPerSecond: 2000,
    isEnough: (count) => {
      acked = count
      return killsDone && count >= EVENTS
    },
  })
  const atKill: number[] = []
  const backAfterMs: number[] = []
  for (let kill = 1; kill <= KILLS; kill++) {
    await waitFor(() => acked >= (EVENTS / (KILLS + 1)) * kill, { timeoutMs: 60_000, what: 'some load' })
    atKill.push(acked)
    const redis = redisServers[(kill - 1) % redisServers.length]
    redis?.kill('SIGKILL')
    await new Promise((resolve) => setTimeout(resolve, 500))
    await redis?.restart()
    const back = Date.now()
    const before = acked
    await waitFor(() => acked > before, { timeoutMs: 20_000, what: 'events to be accepted again' })
    backAfterMs.push(Date.now() - back)
  }
  killsDone = true
  const totals = await load
  await ledger.close()
  await deployment.settled(90_000)

  const events = await judgeEvents(sql, ledgerFile)
  const buyers = Array.from({ length: BUYERS }, (_, buyer) => `buyer-${buyer}`)
  const deliveries = await judgeDeliveries(sql, join(dataDir, 'outbox'), buyers)
  printTable('Redis killed and restarted', {
    'acked at the kills': atKill,
    'accepting again, ms': backAfterMs,
    'requests sent again': totals.retried,
    'stalled jobs': await deployment.stalledJobs(),
    'processes restarted': stack.processes.map((process) => process.restarts()),
    ...events,
    deliveries,
  })
  expect(events).toMatchObject({ lost: 0, duplicated: 0, phantom: 0, altered: 0, failed: 0 })
  expect(events.acked).toBeGreaterThanOrEqual(EVENTS)
  expect(totals.retried).toBeGreaterThan(0)
  expect(stack.processes.map((process) => process.restarts())).toEqual([0, 0, 0])
  expect(deliveries).toMatchObject({ expected: BUYERS * 3, doubled: 0, unexpected: 0, missing: 0 })
}, 240_000)
