// Gaps of the archive: what ingest left out is found again in Postgres, whole, once, and in the archive's own form.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { archiveLine } from '../../domain/archive-line.ts'
import { normalise } from '../../domain/normalise.ts'
import { persist } from '../../queues/pipeline.ts'
import type { NormalEvent } from '../../schema/event.ts'
import { closeGaps, openGapSpan, readEventsReceived, recordGaps, withLoadLock } from '../../store/archive.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { normalBatch } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
const T0 = Date.UTC(2026, 10, 21, 12)

beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
})
afterAll(() => world?.close())

const gap = (batchId: string, fromReceived: number, toReceived = fromReceived) => ({
  batchId,
  events: 1,
  fromReceived,
  toReceived,
})

test('every kind of event comes back from Postgres as the line that was left out', async () => {
  await world.run(persistPool)
  const messages: Record<string, unknown>[] = [
    { type: 'track', event: 'Order Completed', properties: { revenue: '19.99', tags: ['a\nb', '"'] } },
    { type: 'track', event: 'Clicked', anonymousId: 'a-1', userId: undefined, context: { locale: 'sv-SE' } },
    { type: 'identify', traits: { plan: 'pro', nested: { n: [1, null, 2.5] } } },
    { type: 'page', name: 'Home', context: { page: { url: 'https://shop.example/?utm_campaign=x' } } },
    { type: 'screen' },
    { type: 'group', groupId: 'g-1', traits: { seats: 3 } },
    { type: 'alias', previousId: 'a-2' },
  ]
  const events = messages.map((message, i) =>
    normalise(
      { messageId: `m-${i}`, userId: 'u-1', timestamp: '2026-11-20T08:00:00+01:00', ...message },
      { sourceId: 1, receivedAt: T0 + i, sentAt: T0 },
      0,
    ),
  )
  await world.sender.send(persist, [normalBatch(events)])
  await waitFor(async () => {
    const [row] = await world.sql<{ count: number }[]>`select count(*)::int as count from events`
    return row?.count === events.length
  })
  const slices: NormalEvent[][] = []
  for await (const slice of readEventsReceived(
    world.servers,
    { from: new Date(T0), to: new Date(T0 + 6) },
    3,
  )) {
    slices.push(slice)
  }
  expect(slices.map((slice) => slice.length)).toEqual([3, 3, 1])
  const asRecords = (list: NormalEvent[]) => list.map((event) => JSON.parse(archiveLine(event)))
  expect(asRecords(slices.flat())).toEqual(asRecords(events))
  expect(slices.flat().map((event) => event.hash)).toEqual(events.map((event) => event.hash))
  expect(slices.flat().every((event) => !archiveLine(event).includes('\n'))).toBe(true)
})

test('a span covers the oldest open gaps that lie together and are settled', async () => {
  const before = new Date(T0 + 500_000)
  expect(await openGapSpan(world.sql, { before, limit: 10 })).toBeUndefined()
  await recordGaps(world.sql, [gap('g-1-xxxx', T0 + 1000, T0 + 2000), gap('g-2-xxxx', T0, T0 + 500)])
  await recordGaps(world.sql, [gap('g-2-xxxx', T0, T0 + 500), gap('g-3-xxxx', T0 + 400_000)])
  await recordGaps(world.sql, [gap('g-4-xxxx', T0 + 600_000)])
  expect(await openGapSpan(world.sql, { before, limit: 10 })).toEqual({
    from: new Date(T0),
    to: new Date(T0 + 2000),
    batchIds: ['g-2-xxxx', 'g-1-xxxx'],
  })
  await closeGaps(world.sql, ['g-1-xxxx', 'g-2-xxxx'])
  expect((await openGapSpan(world.sql, { before, limit: 10 }))?.batchIds).toEqual(['g-3-xxxx'])
  await closeGaps(world.sql, ['g-3-xxxx'])
  expect(await openGapSpan(world.sql, { before, limit: 10 })).toBeUndefined()
})

test('a batch that is replayed after its gap was filled opens it again', async () => {
  await recordGaps(world.sql, [gap('g-5-xxxx', T0)])
  await closeGaps(world.sql, ['g-5-xxxx'])
  await recordGaps(world.sql, [gap('g-5-xxxx', T0)])
  const span = await openGapSpan(world.sql, { before: new Date(T0 + 1), limit: 10 })
  expect(span?.batchIds).toEqual(['g-5-xxxx'])
})

test('one process at a time holds the load lock, and gives it back when its work fails', async () => {
  const begun = Promise.withResolvers<void>()
  const release = Promise.withResolvers<string>()
  const first = withLoadLock(world.sql, () => {
    begun.resolve()
    return release.promise
  })
  await begun.promise
  expect(await withLoadLock(world.sql, async () => 'second')).toBeUndefined()
  release.resolve('first')
  expect(await first).toBe('first')
  await expect(withLoadLock(world.sql, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
  expect(await withLoadLock(world.sql, async () => 'third')).toBe('third')
})
