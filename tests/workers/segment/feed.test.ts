// From an event to the feed through the real pools: an entry and an exit by time, each with the values that decided it.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { hearChanges } from '../../../cache/change-news.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { persist, segment as segmentQueue } from '../../../queues/pipeline.ts'
import { manualClock } from '../../../runtime/clock.ts'
import { archiveSegment, createSegment } from '../../../store/segments.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { segmentPool } from '../../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../../support/api-server.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { openFeed } from '../../support/feed-client.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

const DAY = 86_400_000
const start = Date.UTC(2026, 10, 20)
const clock = manualClock(start)
const window = { k: 'rolling', last: 'P30D' } as const
const rule = parseRule({
  match: {
    k: 'all',
    of: [
      { k: 'agg', event: 'Order Completed', agg: 'count', window, op: 'gte', value: 2 },
      {
        k: 'any',
        of: [
          { k: 'trait', path: 'plan', op: 'eq', value: 'gold' },
          { k: 'not', of: { k: 'trait', path: 'staff', op: 'exists' } },
        ],
      },
    ],
  },
})

let world: World
let api: ApiServer
let segmentId = 0
beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
  const names = { slug: 'regulars', name: 'Regulars', ruleHash: 'x', author: '', note: '' }
  segmentId = (await createSegment(world.sql, { ...names, rule }))?.segmentId ?? 0
  await world.run(persistPool, { clock })
  await world.run(segmentPool, { clock })
  api = await startApi(world)
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('entries and exits come with the values that decided them, as of the instant of the change', async () => {
  const feed = await openFeed(api, '?segment=regulars')
  let words = 0
  const news = hearChanges(world.cache, () => {
    words += 1
  })
  // The first says that it listens.
  await waitFor(() => words === 1)
  const told = words
  const order = (days: number) =>
    normalEvent({ userId: 'anna', name: 'Order Completed', time: start - days * DAY })
  await world.sender.send(persist, [normalBatch([order(1), order(3)])])
  const [entry] = await feed.take(1)
  await waitFor(() => words > told, { what: 'word of the pass' })
  news.stop()
  const plain = { path: 'rule.match.of[1].of[1].of', k: 'trait', holds: false, value: null, op: 'exists' }
  const orders = { path: 'rule.match.of[0]', k: 'agg', op: 'gte', threshold: '2' }
  expect(entry).toMatchObject({ slug: 'regulars', userId: 'anna', op: 'enter', reason: 'late' })
  expect(entry?.metrics).toEqual([{ ...orders, holds: true, value: '2' }, plain])

  // Noticed three days late: the second order had left the window by then, the first had not.
  clock.set(start + 28 * DAY)
  const profileId = entry?.profileId ?? 0
  const send = (reason: 'time' | 'rule_changed', batchId: string) =>
    world.sender.send(segmentQueue, [
      {
        v: 1,
        batchId,
        shard: Math.floor((profileId % 1024) / 256),
        reason,
        profileIds: [profileId],
        receivedAt: clock.now(),
      },
    ])
  await send('time', 'tick-0001')
  const [, exit] = await feed.take(2)
  expect(exit).toMatchObject({
    op: 'exit',
    reason: 'time',
    effectiveAt: new Date(start + 27 * DAY).toISOString(),
  })
  expect(exit?.metrics).toEqual([{ ...orders, holds: false, value: '1' }])

  await world.sender.send(persist, [normalBatch([order(-20)])])
  const [, , again] = await feed.take(3)
  expect(again?.metrics?.map(({ value }) => value)).toEqual(['2', null])
  await archiveSegment(world.sql, segmentId)
  await send('rule_changed', 'tick-0002')
  const [, , , archived] = await feed.take(4)
  expect(archived).toMatchObject({ op: 'exit', reason: 'rule_changed', version: 0, metrics: null })
  await feed.cut()
})
