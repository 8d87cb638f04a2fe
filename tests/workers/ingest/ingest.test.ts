// ingest as a pool: requests in, events out to persist and archive, nothing lost and nothing held up.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { archive, ingest, persist } from '../../../queues/pipeline.ts'
import { openQueue } from '../../../queues/sender.ts'
import type { CollectedBatch } from '../../../schema/collected.ts'
import type { NormalBatch } from '../../../schema/event.ts'
import { definePool } from '../../../workers/define.ts'
import { ingestPool } from '../../../workers/ingest/pool.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

let world: World
const arrived: Record<'persist' | 'archive', NormalBatch[]> = { persist: [], archive: [] }

beforeAll(async () => {
  world = await testWorld()
  await world.run(ingestPool)
  await world.run(
    definePool({
      name: 'persist',
      consumes: persist,
      produces: [],
      work: { concurrency: 1, timeoutMs: 10_000 },
      open: () => arrived.persist,
      handle: async (batch, into) => {
        into.push(batch)
      },
    }),
  )
})
afterAll(() => world?.close())

let batches = 0
function collected(messages: Record<string, unknown>[], requests = 1): CollectedBatch {
  batches += 1
  return {
    v: 1,
    batchId: `test-batch-${batches}`,
    requests: Array.from({ length: requests }, (_, r) => ({
      sourceId: 1,
      receivedAt: Date.UTC(2026, 10, 21, 12) + r,
      messages,
    })),
  }
}
const track = (messageId: string) => ({ type: 'track', event: 'Clicked', messageId, userId: 'u-1' })

const arrivedAt = (stage: 'persist' | 'archive', batchId: string) =>
  arrived[stage].filter((batch) => batch.batchId.startsWith(batchId))

/** What waits on the archive queue, and gone. */
async function takeArchive(): Promise<NormalBatch[]> {
  const queue = openQueue(world.producer, world.namespace, archive.name, true)
  const jobs = await queue.getJobs(['waiting'])
  for (const job of jobs) await job.remove()
  await queue.close()
  return jobs.map((job) => job.data)
}

test('a batch becomes one batch of the same id for persist and for archive, with the same events', async () => {
  const batch = collected([track('a-1'), track('a-2')], 2)
  await world.sender.send(ingest, [batch])
  const [toPersist] = await waitFor(() => {
    const found = arrivedAt('persist', batch.batchId)
    return found.length > 0 ? found : undefined
  })
  expect(toPersist?.batchId).toBe(batch.batchId)
  expect(toPersist?.events.map((event) => event.messageId)).toEqual(['a-1', 'a-2', 'a-1', 'a-2'])
  expect(await takeArchive()).toEqual([toPersist])
})

test('the same input gives the same output, and a large input parts of at most 500 events', async () => {
  const batch = collected(Array.from({ length: 1200 }, (_, i) => track(`b-${i}`)))
  await world.sender.send(ingest, [batch])
  const first = await waitFor(() => {
    const found = arrivedAt('persist', batch.batchId)
    return found.length === 3 ? [...found] : undefined
  })
  expect(first.map((part) => [part.batchId, part.events.length])).toEqual([
    [batch.batchId, 500],
    [`${batch.batchId}-p1`, 500],
    [`${batch.batchId}-p2`, 200],
  ])
  await world.sender.send(ingest, [batch])
  const both = await waitFor(() => {
    const found = arrivedAt('persist', batch.batchId)
    return found.length === 6 ? found : undefined
  })
  expect(both.slice(3)).toEqual(first)
  await takeArchive()
})

test('a message that cannot be normalised is kept in failed_events, once, and its neighbours go on', async () => {
  const bad = { type: 'track', event: 'Clicked', userId: 'u-1' }
  const batch = collected([track('c-1'), bad, track('c-2')], 2)
  await world.sender.send(ingest, [batch])
  await world.sender.send(ingest, [batch])
  await waitFor(() => arrivedAt('persist', batch.batchId).length > 0)
  expect(arrivedAt('persist', batch.batchId)[0]?.events).toHaveLength(4)
  const failed = await world.sql<{ payload: string; code: string; stage: string; reason: string }[]>`
    select stage, code, reason, payload from failed_events order by failed_id`
  expect(failed).toHaveLength(2)
  expect(failed[0]).toMatchObject({ stage: 'ingest', code: 'invalid_event', reason: 'messageId is missing' })
  const payloads: CollectedBatch[] = failed.map((row) => JSON.parse(row.payload))
  expect(payloads.map((payload) => payload.requests[0]?.messages)).toEqual([[bad], [bad]])
  expect(new Set(payloads.map((payload) => payload.batchId)).size).toBe(2)
  await takeArchive()
})

test('an archive over its budget gets a note in Postgres instead, once, and persist is not held up', async () => {
  const filler = (i: number): NormalBatch => ({ v: 1, batchId: `filler-${i}-xx`, events: FILLER })
  const over = archive.budget.maxWaitingJobs + 1
  await world.sender.send(
    archive,
    Array.from({ length: over }, (_, i) => filler(i)),
  )
  await waitFor(() => world.depth.depthOf(archive.name).waiting >= over)
  const batch = collected([track('d-1'), track('d-2')], 2)
  await world.sender.send(ingest, [batch])
  await waitFor(() => arrivedAt('persist', batch.batchId).length === 1)
  // While its job is there, the same batch sent again is the same job.
  await waitFor(
    async () => !(await world.producer.exists(`{${world.namespace}-ingest}:ingest:in-${batch.batchId}`)),
  )
  await world.sender.send(ingest, [batch])
  await waitFor(() => arrivedAt('persist', batch.batchId).length === 2)
  const gaps =
    await world.sql`select batch_id, events, from_received, to_received, filled_at from archive_gaps`
  expect([...gaps]).toEqual([
    {
      batch_id: batch.batchId,
      events: 4,
      from_received: new Date(Date.UTC(2026, 10, 21, 12)),
      to_received: new Date(Date.UTC(2026, 10, 21, 12) + 1),
      filled_at: null,
    },
  ])
  const waiting = await takeArchive()
  expect(waiting.every((job) => job.batchId.startsWith('filler-'))).toBe(true)
})

const FILLER: NormalBatch['events'] = [
  {
    messageId: 'filler',
    hash: '1',
    sourceId: 1,
    type: 'track',
    name: 'A',
    userId: 'u',
    time: 1,
    receivedAt: 1,
    marks: 0,
    properties: '{}',
    envelope: '{}',
  },
]
