// The number of shards is changed twice under load, 16 to 32 to 8: every process starts again with the new number by itself,
// jobs on queues that are no more move on, and nothing is lost, doubled or delivered twice.

import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sampleQueues } from '../../queues/depth.ts'
import { retiredLanes } from '../../queues/retired-lanes.ts'
import { runMillrace } from '../support/cli.ts'
import { type Deployment, PROCESS_A_POOL, startDeployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'
import { judgeDeliveries, judgeEvents, printTable } from './judge.ts'
import { BUYERS, openRun, runLoad, shopping } from './load.ts'

const EVENTS = 20_000
let deployment: Deployment

beforeAll(async () => {
  deployment = await startDeployment({ processes: PROCESS_A_POOL, config: { shards: 0 } })
}, 90_000)
afterAll(async () => {
  await deployment?.close()
}, 60_000)

test('shards are changed from 16 to 32 to 8 under load, and nothing is lost, doubled or delivered twice', async () => {
  const { stack, sql, redis, dataDir } = deployment
  const { databaseUrl, redisUrl, namespace } = stack.config
  const env = { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, MILLRACE_DATA_DIR: dataDir }
  const { ledgerFile, ledger, startMs, common } = await openRun(deployment, 40)
  let acked = 0
  let isResharded = false
  const load = runLoad({
    ...common,
    messages: shopping(startMs),
    eventsPerSecond: 1000,
    isEnough: (count) => {
      acked = count
      return isResharded && count >= EVENTS
    },
  })
  await waitFor(() => acked >= 2000, { timeoutMs: 60_000, what: 'some load' })
  const results: Record<string, unknown> = {}
  for (const shards of [32, 8]) {
    const from = acked
    const result = await runMillrace(['reshard', String(shards)], env)
    results[`to ${shards}`] = { ...result, ackedMeanwhile: acked - from }
    expect(result).toMatchObject({ code: 0, err: '' })
    expect(result.out).toContain(`Every one of the ${shards} queues has a worker`)
    expect(acked).toBeGreaterThan(from)
  }
  isResharded = true
  const totals = await load
  await ledger.close()
  await deployment.settled(90_000)

  const events = await judgeEvents(sql, ledgerFile)
  const buyers = Array.from({ length: BUYERS }, (_, buyer) => `buyer-${buyer}`)
  const deliveries = await judgeDeliveries(sql, join(dataDir, 'outbox'), buyers)
  const left = await sampleQueues(redis, namespace, retiredLanes(8, 32), Date.now())
  printTable('Shards changed under load', {
    ...results,
    restarts: stack.processes.map((process) => process.restarts()),
    'requests sent again': totals.retried,
    ...events,
    deliveries,
  })
  expect(stack.processes.map((process) => process.restarts()).every((restarts) => restarts >= 2)).toBe(true)
  expect(
    [...left.lanes.values()].reduce((sum, lane) => sum + lane.waiting + lane.delayed + lane.active, 0),
  ).toBe(0)
  expect(events).toMatchObject({ lost: 0, duplicated: 0, phantom: 0, altered: 0, failed: 0 })
  expect(deliveries).toMatchObject({ expected: BUYERS * 3, doubled: 0, unexpected: 0, missing: 0 })
}, 300_000)
