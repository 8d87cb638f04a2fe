// The persist pool on real servers: each event once, conflicts recorded, a bad row set aside, people and sessions right.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { persist } from '../../../queues/pipeline.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

let world: World

beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
  await world.run(persistPool)
})
afterAll(() => world?.close())

const drained = () =>
  waitFor(async () => {
    const counts = await world.producer.llen(`{${world.namespace}-persist}:persist:wait`)
    const active = await world.producer.llen(`{${world.namespace}-persist}:persist:active`)
    return counts + active === 0
  })

const rowsOf = (userId: string) => world.sql`
  select e.*, n.name from events e join event_names n using (event_id)
  join identities i on i.profile_id = e.profile_id and i.kind = 0 and i.value = ${userId} order by time`

test('the same message in one batch, across batches and with another sentAt is one row', async () => {
  const event = normalEvent({ userId: 'once', messageId: 'once-1' })
  const resent = { ...event, envelope: '{"sentAt":"2026-11-21T00:00:00Z"}' }
  await world.sender.send(persist, [normalBatch([event, event, resent])])
  await drained()
  await world.sender.send(persist, [normalBatch([event]), normalBatch([resent])])
  await drained()
  expect(await rowsOf('once')).toHaveLength(1)
})

test('the same id without a client time, later and earlier, is one row', async () => {
  const timed = normalEvent({ userId: 'untimed', messageId: 'untimed-1' })
  const untimed = {
    ...timed,
    time: timed.receivedAt + 3_600_000,
    receivedAt: timed.receivedAt + 3_600_000,
    marks: 32,
  }
  await world.sender.send(persist, [normalBatch([timed])])
  await drained()
  await world.sender.send(persist, [normalBatch([untimed])])
  await drained()
  expect(await rowsOf('untimed')).toHaveLength(1)
})

test('the same id with another payload is a recorded conflict, and the first row stays', async () => {
  const first = normalEvent({ userId: 'conflict', messageId: 'conflict-1', properties: '{"a":1}' })
  const second = normalEvent({
    userId: 'conflict',
    messageId: 'conflict-1',
    properties: '{"a":2}',
    name: 'Other',
    time: first.time + 5000,
  })
  await world.sender.send(persist, [normalBatch([first])])
  await drained()
  await world.sender.send(persist, [normalBatch([second])])
  await drained()
  const rows = await rowsOf('conflict')
  expect(rows.map((row) => row.properties)).toEqual([{ a: 1 }])
  const failed = await world.sql`select code, message_id from failed_events where message_id = 'conflict-1'`
  expect(failed).toEqual([{ code: 'message_conflict', message_id: 'conflict-1' }])
})

test('an anonymous history moves to the user, keeps its rows single, and a re-sent message still meets its row', async () => {
  const before = normalEvent({ anonymousId: 'anon-1', messageId: 'merge-1', time: Date.UTC(2026, 9, 1) })
  const user = normalEvent({ userId: 'merged', messageId: 'merge-2', time: Date.UTC(2026, 9, 2) })
  await world.sender.send(persist, [normalBatch([before])])
  await drained()
  await world.sender.send(persist, [normalBatch([user])])
  await drained()
  const link = normalEvent({
    userId: 'merged',
    anonymousId: 'anon-1',
    type: 'identify',
    name: '',
    messageId: 'merge-3',
    time: Date.UTC(2026, 9, 3),
    traits: { plan: 'pro' },
    properties: '{"plan":"pro"}',
  })
  await world.sender.send(persist, [normalBatch([link])])
  await drained()
  await world.sender.send(persist, [normalBatch([before])])
  await drained()
  const rows = await rowsOf('merged')
  expect(rows.map((row) => row.message_id)).toEqual(['merge-1', 'merge-2', 'merge-3'])
  const [profile] = await world.sql`
    select p.* from profiles p join identities i using (profile_id) where i.kind = 0 and i.value = 'merged'`
  expect(profile).toMatchObject({ traits: { plan: 'pro' }, user_id: 'merged', merged_into: null })
  expect(profile?.first_seen.getTime()).toBe(Date.UTC(2026, 9, 1))
  const sessions = await world.sql`select events from sessions where profile_id = ${profile?.profile_id}`
  expect(sessions.map((row) => row.events)).toEqual([1, 1, 1])
})

test('one row that Postgres refuses fails alone and is kept in failed_events', async () => {
  const events = Array.from({ length: 50 }, () => normalEvent({ userId: 'poison' }))
  const bad = normalEvent({ userId: 'poison', messageId: 'poison-bad', properties: '{"a":"\\u0000"}' })
  await world.sender.send(persist, [normalBatch([...events.slice(0, 20), bad, ...events.slice(20)])])
  await drained()
  expect(await rowsOf('poison')).toHaveLength(50)
  const failed = await world.sql`select code, sqlstate from failed_events where message_id = 'poison-bad'`
  expect(failed).toEqual([{ code: 'row_rejected', sqlstate: '22P05' }])
})

test('a row that already COPY refuses fails alone too', async () => {
  const nul = normalEvent({ userId: 'poison-copy', messageId: 'poison-\u0000' })
  await world.sender.send(persist, [normalBatch([nul, normalEvent({ userId: 'poison-copy' })])])
  await drained()
  expect(await rowsOf('poison-copy')).toHaveLength(1)
  const failed = await world.sql`select code, sqlstate from failed_events where message_id like 'poison-_'`
  expect(failed).toEqual([{ code: 'row_rejected', sqlstate: '22021' }])
})

test('touched profiles reach the queue of their shard', async () => {
  await world.sender.send(persist, [normalBatch([normalEvent({ userId: 'touched' })])])
  await drained()
  let jobs = 0
  for (const shard of ['00', '01', '02', '03']) {
    jobs += await world.producer.llen(`{${world.namespace}-segment-${shard}}:segment-${shard}:wait`)
  }
  expect(jobs).toBeGreaterThan(0)
})
