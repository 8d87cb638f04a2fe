// A worker's count of the jobs it holds, against real Redis: a job that comes again at once is still one.
import { DelayedError } from 'bullmq'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { queuePrefix } from '../../queues/define.ts'
import { RestingWorker } from '../../queues/resting-worker.ts'
import { openQueue } from '../../queues/sender.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
beforeAll(async () => {
  world = await testWorld()
})
afterAll(async () => {
  await world.close()
})

test('a job that is handed back and fetched again at its own end counts as held while it runs', async () => {
  const heldInTurns: number[] = []
  const worker: RestingWorker = new RestingWorker(
    'ingest',
    async (job, token) => {
      heldInTurns.push(worker.held())
      if (heldInTurns.length === 3) return
      await job.moveToDelayed(Date.now(), token)
      throw new DelayedError()
    },
    {
      connection: world.consumer,
      prefix: queuePrefix(world.namespace, 'ingest'),
      concurrency: 1,
      drainDelay: 0.2,
      stalledInterval: 1000,
    },
  )
  const queue = openQueue(world.producer, world.namespace, 'ingest')
  try {
    await queue.add('ingest', {}, { jobId: 'again' })
    await waitFor(() => heldInTurns.length === 3 && worker.held() === 0, { what: 'three turns and rest' })
    expect(heldInTurns).toEqual([1, 1, 1])
  } finally {
    await worker.close()
    await queue.close()
  }
})
