// Row 15: a Redis that has lost its data, or the end of it. What was in it is gone; everything else has to go on.
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { LocalRedis } from '../../cli/local/redis.ts'
import { pauseQueues } from '../../queues/control.ts'
import { ingest } from '../../queues/pipeline.ts'
import { type Deployment, startDeployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'
import { runRow } from './row.ts'

let deployment: Deployment
let redis: LocalRedis
beforeAll(async () => {
  deployment = await startDeployment({ links: true })
  if (deployment.stack.redis === undefined) throw new Error('this deployment has no Redis of its own')
  redis = deployment.stack.redis
}, 120_000)
afterAll(async () => {
  await deployment?.close()
}, 60_000)

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
const whatIsLost = { lost: expect.any(Number) }

test('row 15: an emptied Redis costs its backlog and no more; the clock and every pool go on', async (context) => {
  const { sql, stack } = deployment
  let waiting = 0
  let emptiedAt = new Date(0)
  const result = await runRow(context, deployment, {
    id: '15',
    restarts: 0,
    events: whatIsLost,
    deliveries: { missing: expect.any(Number) },
    async fault(load) {
      await pauseQueues(deployment.redis, stack.config.namespace, [ingest.name])
      const before = load.acked()
      await waitFor(() => load.acked() >= before + 200, { what: 'a backlog' })
      await deployment.redis.flushall()
      waiting = load.acked() - before
      emptiedAt = new Date()
      return { hits: { 'events that waited': waiting } }
    },
  })
  expect(result.events.lost, 'no more is lost than the backlog').toBeLessThanOrEqual(waiting + 120)
  await waitFor(
    async () =>
      (await sql`select 1 from schedule_runs where task = 'sweep' and started_at > ${emptiedAt}`).length > 0,
    { timeoutMs: 20_000, what: 'a sweep after Redis was emptied' },
  )
})

test('row 15b: an append-only file with a torn end is taken up to the tear', async (context) => {
  let torn = 0
  const result = await runRow(context, deployment, {
    id: '15b',
    restarts: 0,
    events: whatIsLost,
    deliveries: { missing: expect.any(Number) },
    async fault(load) {
      const before = load.acked()
      await waitFor(() => load.acked() >= before + 200, { what: 'some load' })
      redis.kill('SIGKILL')
      await pause(300)
      torn = await tearAppendOnlyFile(join(deployment.dataDir, 'redis'), 700)
      await redis.restart()
      return { hits: { 'bytes torn off': torn } }
    },
  })
  expect(result.events.lost, 'at most one write of the collector is lost').toBeLessThanOrEqual(500)
})

async function tearAppendOnlyFile(dir: string, bytes: number): Promise<number> {
  const folder = join(dir, 'appendonlydir')
  const files = (await readdir(folder)).filter((name) => name.endsWith('.incr.aof'))
  const newest = join(folder, files.sort().at(-1) ?? '')
  const { size } = await stat(newest)
  const file = await open(newest, 'r+')
  await file.truncate(size - bytes)
  await file.close()
  return bytes
}
