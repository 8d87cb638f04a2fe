// Postgres is stopped as by `pg_ctl -m immediate` in the midst of the load and recovers from its log: jobs whose commit
// it did not confirm run again, and what it had confirmed is there once.
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { queueNames } from '../../queues/define.ts'
import { persist, segment } from '../../queues/pipeline.ts'
import { type Deployment, startDeployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'
import { judgeDeliveries, judgeEvents, printTable } from './judge.ts'
import { BUYERS, openRun, runLoad, shopping } from './load.ts'

const EVENTS = 20_000
const RESTARTS = 3
let deployment: Deployment

beforeAll(async () => {
  deployment = await startDeployment({})
}, 90_000)
afterAll(async () => {
  await deployment?.close()
}, 60_000)

test('a Postgres that crashes keeps what it committed, and what it did not is done again', async () => {
  const { stack, dataDir } = deployment
  const { postgres } = stack
  if (postgres === undefined) throw new Error('this deployment has no Postgres of its own')
  const { ledgerFile, ledger, startMs, common } = await openRun(deployment, 40)

  let acked = 0
  let crashesDone = false
  const load = runLoad({
    ...common,
    messages: shopping(startMs),
    eventsPerSecond: 2000,
    isEnough: (count) => {
      acked = count
      return crashesDone && count >= EVENTS
    },
  })
  const active: number[] = []
  for (let crash = 1; crash <= RESTARTS; crash++) {
    await waitFor(() => acked >= (EVENTS / (RESTARTS + 1)) * crash, { timeoutMs: 60_000, what: 'some load' })
    const lanes = [persist, segment].flatMap((queue) => queueNames(queue, stack.config.shards))
    active.push(await waitFor(() => deployment.activeJobs(lanes), { everyMs: 2, what: 'jobs under way' }))
    await postgres.restartImmediate()
  }
  crashesDone = true
  const totals = await load
  await ledger.close()
  await deployment.settled(90_000)

  const events = await judgeEvents(deployment.sql, ledgerFile)
  const buyers = Array.from({ length: BUYERS }, (_, buyer) => `buyer-${buyer}`)
  const deliveries = await judgeDeliveries(deployment.sql, join(dataDir, 'outbox'), buyers)
  printTable('Postgres restarted with -m immediate', {
    'active at the crashes': active,
    'requests sent again': totals.retried,
    'processes restarted': stack.processes.map((process) => process.restarts()),
    ...events,
    deliveries,
  })
  expect(events).toMatchObject({ lost: 0, duplicated: 0, phantom: 0, altered: 0, failed: 0 })
  expect(events.acked).toBeGreaterThanOrEqual(EVENTS)
  expect(stack.processes.map((process) => process.restarts())).toEqual([0, 0, 0])
  expect(deliveries).toMatchObject({ expected: BUYERS * 3, doubled: 0, unexpected: 0, missing: 0 })
}, 240_000)
