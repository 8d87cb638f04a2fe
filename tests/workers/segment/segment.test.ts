// The segment pool on real servers: entries and exits with their reasons, once, announced and served from the cache.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readServed } from '../../../cache/memberships.ts'
import { shardOfProfile } from '../../../domain/buckets.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { persist, segment as segmentQueue } from '../../../queues/pipeline.ts'
import { manualClock } from '../../../runtime/clock.ts'
import { countMembers } from '../../../store/members.ts'
import { takeDueTimers } from '../../../store/memberships.ts'
import { addVersion, createSegment } from '../../../store/segments.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { segmentPool } from '../../../workers/segment/pool.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

let world: World
const start = Date.UTC(2026, 10, 20)
const clock = manualClock(start)

const bigSpenders = parseRule({
  match: {
    k: 'all',
    of: [
      {
        k: 'agg',
        event: 'Order Completed',
        agg: 'sum',
        prop: 'revenue',
        window: { k: 'rolling', last: 'P30D' },
        op: 'gt',
        value: 1000,
      },
      {
        k: 'agg',
        event: 'Order Completed',
        agg: 'count',
        window: { k: 'rolling', last: 'P30D' },
        op: 'gt',
        value: 5,
      },
    ],
  },
})

const order = (userId: string, cents: string, time: number, messageId?: string) =>
  normalEvent({
    userId,
    name: 'Order Completed',
    value: cents,
    currency: 'USD',
    time,
    ...(messageId === undefined ? {} : { messageId }),
  })

const profileOf = async (userId: string) => {
  const [row] = await world.sql<
    { profile_id: number }[]
  >`select profile_id from identities where kind = 0 and value = ${userId}`
  return row?.profile_id ?? 0
}
const changesOf = async (userId: string) =>
  world.sql`select op, reason, effective_at from membership_changes where profile_id = ${await profileOf(userId)} order by change_id`

let segmentId = 0

beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
  const created = await createSegment(world.sql, {
    slug: 'big-spenders',
    name: 'Big spenders',
    rule: bigSpenders,
    ruleHash: 'x',
    author: '',
    note: '',
  })
  segmentId = created?.segmentId ?? 0
  await world.run(persistPool, { clock })
  await world.run(segmentPool, { clock })
})
afterAll(() => world?.close())

test('a user enters on the event that makes the rule true, and Redis knows', async () => {
  const day = 86_400_000
  await world.sender.send(persist, [
    normalBatch([1, 2, 3, 4, 5].map((n) => order('anna', '30000', start - n * day))),
  ])
  await waitFor(async () => (await profileOf('anna')) > 0)
  await world.sender.send(persist, [normalBatch([order('anna', '1', start - 6 * day)])])
  await waitFor(async () => (await countMembers(world.servers, segmentId)) === 1, { what: 'membership' })
  expect(await changesOf('anna')).toMatchObject([{ op: 'enter' }])
  const served = await waitFor(async () => readServed(world.cache, await profileOf('anna')))
  expect(served).toMatchObject({ kind: 'members', ends: new Map([[segmentId, start + 24 * day]]) })
  const [timer] =
    await world.sql`select wake_at from segment_timers where profile_id = ${await profileOf('anna')}`
  expect(timer?.wake_at.getTime()).toBe(start + 24 * day)
})

test('exactly at the threshold is out: more than 1,000 and more than 5 are both needed', async () => {
  const day = 86_400_000
  const six = [1, 2, 3, 4, 5, 6]
  await world.sender.send(persist, [
    normalBatch(six.map((n) => order('bert', n === 1 ? '50000' : '10000', start - n * day))),
  ])
  await world.sender.send(persist, [
    normalBatch([1, 2, 3, 4, 5].map((n) => order('carl', '90000', start - n * day))),
  ])
  await waitFor(async () => (await profileOf('bert')) > 0 && (await profileOf('carl')) > 0)
  await new Promise((resolve) => setTimeout(resolve, 600))
  expect(await changesOf('bert')).toEqual([])
  expect(await changesOf('carl')).toEqual([])
})

test('when the window lapses the user leaves at the instant of the flip, without any event', async () => {
  const day = 86_400_000
  clock.set(start + 24 * day - 1)
  expect(await takeDueTimers(world.sql, clock.now(), { leaseMs: 1000, limit: 10 })).toEqual([])
  clock.set(start + 24 * day + 5)
  const due = await takeDueTimers(world.sql, clock.now(), { leaseMs: 10_000, limit: 10 })
  const anna = await profileOf('anna')
  expect(due).toContain(anna)
  const shard = shardOfProfile(anna, world.config.shards)
  await world.sender.send(segmentQueue, [
    { v: 1, batchId: 'tick-0001', shard, reason: 'time', profileIds: [anna], receivedAt: clock.now() },
  ])
  await waitFor(async () => (await changesOf('anna')).length === 2, { what: 'exit' })
  expect((await changesOf('anna'))[1]).toMatchObject({
    op: 'exit',
    reason: 'time',
    effective_at: new Date(start + 24 * day),
  })
})

test('an edited rule is picked up without a restart', async () => {
  const loose = parseRule({
    match: {
      k: 'agg',
      event: 'Order Completed',
      agg: 'count',
      window: { k: 'lifetime' },
      op: 'gte',
      value: 6,
    },
  })
  await addVersion(world.sql, segmentId, {
    rule: loose,
    ruleHash: 'y',
    author: '',
    note: '',
  })
  const bert = await profileOf('bert')
  await world.sender.send(segmentQueue, [
    {
      v: 1,
      batchId: 'edit-0001',
      shard: shardOfProfile(bert, world.config.shards),
      reason: 'rule_changed',
      profileIds: [bert],
      receivedAt: clock.now(),
    },
  ])
  await waitFor(async () => (await changesOf('bert')).length === 1)
  expect(await changesOf('bert')).toMatchObject([{ op: 'enter', reason: 'rule_changed' }])
})
