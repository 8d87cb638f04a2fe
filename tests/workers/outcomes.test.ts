// What the executor counts: each way a job can end has its own outcome, and no job dies twice.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { defineQueue, queuePrefix } from '../../queues/define.ts'
import { PermanentError, RetryLater } from '../../runtime/errors.ts'
import { NormalBatch } from '../../schema/event.ts'
import { definePool } from '../../workers/define.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

const ATTEMPTS = 3
const queue = defineQueue({
  name: 'persist',
  payload: NormalBatch,
  jobId: (batch) => `pe-${batch.batchId}`,
  insert: { attempts: ATTEMPTS, backoff: { baseMs: 1, capMs: 5 }, keepFailed: true },
  budget: { maxWaitingJobs: 100 },
})

let world: World
beforeEach(async () => {
  world = await testWorld()
})
afterEach(() => world.close())

/** Runs a pool whose handler is `handle` and gives it one job. */
async function run(handle: (attempt: number) => Promise<void>) {
  const pool = await world.run(
    definePool({
      name: 'persist',
      consumes: queue,
      produces: [],
      work: { concurrency: 1, timeoutMs: 10_000 },
      open: () => ({}),
      handle: (_batch, _state, info) => handle(info.attempt),
    }),
  )
  await world.sender.send(queue, [normalBatch([normalEvent({ userId: 'u' })])])
  return pool
}

async function outcomes(): Promise<Record<string, number>> {
  const { values } = await world.metrics.jobs.get()
  return Object.fromEntries(values.map(({ labels, value }) => [String(labels.outcome), value]))
}

test('a job that ends well is done, and every other outcome is there at 0', async () => {
  await run(async () => {})
  await waitFor(async () => (await outcomes()).done === 1)
  expect(await outcomes()).toEqual({ done: 1, retry: 0, later: 0, dead: 0 })
})

test('a job that can never succeed is one dead', async () => {
  const pool = await run(async () => {
    throw new PermanentError('provider_rejected', 'no such address')
  })
  await waitFor(() => pool.dead.length === 1)
  expect(await outcomes()).toEqual({ done: 0, retry: 0, later: 0, dead: 1 })
})

test('a job that fails to its last attempt is a retry less than that, and one dead', async () => {
  const pool = await run(async () => {
    throw new Error('always')
  })
  await waitFor(() => pool.dead.length === 1)
  expect(await outcomes()).toEqual({ done: 0, retry: ATTEMPTS - 1, later: 0, dead: 1 })
})

test('a job that is handed back is later, and spends no attempt', async () => {
  let tries = 0
  await run(async (attempt) => {
    expect(attempt).toBe(1)
    tries += 1
    if (tries < 3) throw new RetryLater(1, 'not yet')
  })
  await waitFor(async () => (await outcomes()).done === 1)
  expect(await outcomes()).toEqual({ done: 1, retry: 0, later: 2, dead: 0 })
})

test('a lock that somebody took is counted when it cannot be renewed', async () => {
  const { producer, namespace, metrics } = world
  const working = Promise.withResolvers<void>()
  const mayEnd = Promise.withResolvers<void>()
  await run(async () => {
    working.resolve()
    await mayEnd.promise
  })
  await working.promise
  const [lock] = await producer.keys(`${queuePrefix(namespace, 'persist')}:persist:pe-*:lock`)
  await producer.del(lock ?? '')
  await waitFor(async () => ((await metrics.lockFailures.get()).values[0]?.value ?? 0) >= 1)
  mayEnd.resolve()
})
