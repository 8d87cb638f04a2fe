// A worker that rests is a worker all the same: it holds the lock of a long job, gives back what a dead one held, takes a
// delayed job when it is due, and at rest leaves no timer of a lock behind.
import { randomBytes } from 'node:crypto'
import { Queue, type WorkerOptions } from 'bullmq'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { connectConsumer, connectProducer, type RedisClient, whenReady } from '../../queues/connection.ts'
import { RestingWorker } from '../../queues/resting-worker.ts'
import { waitFor } from '../support/wait-for.ts'

const PREFIX = '{resting}'
let producer: RedisClient
let consumer: RedisClient
let queue: Queue
const workers: RestingWorker[] = []

beforeEach(async () => {
  producer = connectProducer(inject('redisUrl'))
  consumer = connectConsumer(inject('redisUrl'))
  await Promise.all([whenReady(producer), whenReady(consumer)])
  queue = new Queue(`rest-${randomBytes(4).toString('hex')}`, { connection: producer, prefix: PREFIX })
})
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.close()))
  await queue.obliterate({ force: true })
  await queue.close()
  producer.disconnect()
  consumer.disconnect()
})

function work(handle: (id: string) => Promise<void>, options: Partial<WorkerOptions> = {}): RestingWorker {
  const worker = new RestingWorker(queue.name, (job) => handle(job.id ?? ''), {
    connection: consumer,
    prefix: PREFIX,
    drainDelay: 2,
    lockDuration: 600,
    stalledInterval: 300,
    ...options,
  })
  worker.on('error', () => {})
  workers.push(worker)
  return worker
}

test('the lock of a job that takes five times its length is renewed: nobody takes the job away', async () => {
  const started: string[] = []
  const stalled: string[] = []
  const handle = async (id: string) => {
    started.push(id)
    await new Promise((done) => setTimeout(done, 3000))
  }
  for (const worker of [work(handle), work(handle)]) worker.on('stalled', (id) => stalled.push(id))
  await queue.add('job', {}, { jobId: 'long' })
  await waitFor(async () => (await queue.getCompletedCount()) === 1, { timeoutMs: 10_000 })
  expect({ started, stalled }).toEqual({ started: ['long'], stalled: [] })
})

test('locks are renewed while a job is held, and not before or after', async () => {
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const worker = work(() => released)
  await worker.waitUntilReady()
  const isRenewing = () => Reflect.get(worker, 'lockManager').isRunning()
  expect(isRenewing()).toBe(false)
  await queue.add('job', {}, { jobId: 'held' })
  await waitFor(() => isRenewing())
  release()
  await waitFor(async () => (await queue.getCompletedCount()) === 1)
  expect(isRenewing()).toBe(false)
})

test('what a worker that died held goes back to the queue within some looks', async () => {
  // Taken by a worker that is no more: active, and nobody holds its lock.
  await queue.add('job', {}, { jobId: 'orphan' })
  expect(
    await producer.lmove(`${PREFIX}:${queue.name}:wait`, `${PREFIX}:${queue.name}:active`, 'RIGHT', 'LEFT'),
  ).toBe('orphan')
  const done: string[] = []
  const stalled: string[] = []
  work(async (id) => void done.push(id)).on('stalled', (id) => stalled.push(id))
  await waitFor(() => done.includes('orphan'), { timeoutMs: 10_000 })
  expect(stalled).toEqual(['orphan'])
})

test('a delayed job is taken when it is due, long before the end of the wait, and a new one at once', async () => {
  const done: string[] = []
  const worker = work(async (id) => void done.push(id), { drainDelay: 25 })
  await worker.waitUntilReady()
  const startedAt = performance.now()
  await queue.add('job', {}, { jobId: 'later', delay: 700 })
  await queue.add('job', {}, { jobId: 'now' })
  await waitFor(() => done.length === 2, { timeoutMs: 10_000 })
  expect(done).toEqual(['now', 'later'])
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(700)
})
