// Row 21: an event that ends the process that works on it, wherever it is started again, until it is found.
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ingest } from '../../queues/pipeline.ts'
import { createSender } from '../../queues/sender.ts'
import { type Deployment, PROCESS_A_POOL, startDeployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'
import { runRow } from './row.ts'

const POISON = fileURLToPath(new URL('./poison.ts', import.meta.url))
let deployment: Deployment
beforeAll(async () => {
  deployment = await startDeployment({
    processes: PROCESS_A_POOL,
    processEnv: { NODE_OPTIONS: `--import=${POISON}` },
    config: { maxStalls: 3, lockMs: 1500, stalledCheckMs: 500 },
  })
}, 120_000)
afterAll(async () => {
  await deployment?.close()
}, 60_000)

test('row 21: an event that kills its process is found by halving and set aside; its neighbours are kept', async (context) => {
  const { redis, sql, stack } = deployment
  const sender = createSender({ redis, namespace: stack.config.namespace })
  const messages = Array.from({ length: 8 }, (_, n) => ({
    type: 'track',
    event: 'Viewed',
    userId: `p-${n}`,
    messageId: n === 5 ? 'poison-5' : `beside-${n}`,
    timestamp: new Date().toISOString(),
    properties: n === 5 ? { poison: true } : {},
  }))
  await runRow(context, deployment, {
    id: '21',
    settleWithinMs: 120_000,
    async fault() {
      const process = stack.processOf('ingest')
      const before = process.restarts()
      // One request, as one client sends it: what kills is one of its messages.
      const requests = [{ sourceId: 1, receivedAt: Date.now(), messages }]
      await sender.send(ingest, [{ v: 1, batchId: randomUUID(), requests }])
      const isSetAside = () => sql`select 1 from failed_events where payload like '%poison-5%'`
      await waitFor(async () => (await isSetAside()).length > 0, {
        timeoutMs: 150_000,
        everyMs: 200,
        what: 'the poison to be set aside',
      })
      return { hits: { 'deaths by the poison': process.restarts() - before } }
    },
  })
  const [kept] = await sql<{ beside: number }[]>`
    select count(*)::int as beside from events where message_id like 'beside-%'`
  const dead = await sql<{ key: string; payload: string }[]>`
    select failed_key as key, payload from failed_events where code = 'job_stalled'`
  const messagesOf = (payload: string) => [...payload.matchAll(/"messageId":"([^"]+)"/g)].map(([, id]) => id)
  const setAside = dead.map(({ key, payload }) => ({ key, messages: messagesOf(payload) }))
  expect(kept, 'the neighbours are kept').toEqual({ beside: 7 })
  expect(setAside, 'the poison alone is set aside').toEqual([
    { key: expect.any(String), messages: ['poison-5'] },
  ])
})
