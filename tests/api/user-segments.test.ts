// Who is in which segment now, as the API answers it from Redis: at once after an entry, up to the millisecond of an end
// while no pass runs, right after a merge and an archive, and without Redis.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createMembershipReader, type ServedMemberships } from '../../api/membership-reader.ts'
import { openCache } from '../../cache/connect.ts'
import { doubtServed, placeOf, readServed } from '../../cache/memberships.ts'
import { changeSegmentToken } from '../../cache/segment-token.ts'
import { connectForCache, whenReady } from '../../queues/connection.ts'
import { eraseCache } from '../../queues/erase.ts'
import { persist } from '../../queues/pipeline.ts'
import { manualClock } from '../../runtime/clock.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { segmentPool } from '../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

const DAY = 86_400_000
const start = Date.UTC(2026, 10, 20)
const clock = manualClock(start)

let world: World
/** Two processes: what one of them changes, the other one must not answer as before. */
let api: ApiServer
let other: ApiServer
let passes: Awaited<ReturnType<World['run']>>

const orders = (last: string, atLeast: number) => ({
  match: {
    k: 'agg',
    event: 'Order Completed',
    agg: 'count',
    window: { k: 'rolling', last },
    op: 'gte',
    value: atLeast,
  },
})
const order = (userId: string, time: number) =>
  normalEvent({ userId, name: 'Order Completed', time, receivedAt: time + 1 })
const slugsOf = async (userId: string, from = api) => {
  const { status, body } = await from.get(`/api/v1/users/${userId}/segments`)
  return status === 200 ? body.data.map((one: { slug: string }) => one.slug) : status
}
const profileOf = async (userId: string) => {
  const [row] = await world.sql<{ id: number }[]>`
    select profile_id as id from identities where kind = 0 and value = ${userId}`
  return row?.id ?? 0
}
const stored = async (userId: string) => {
  const rows = await world.sql`select 1 from memberships where profile_id = ${await profileOf(userId)}`
  return rows.length
}
const reads = async () => {
  const { values } = await world.metrics.membershipReads.get()
  return Object.fromEntries(values.map(({ labels, value }) => [labels.result, value]))
}
/** Sends orders and waits until Redis has what the pass made of them. */
async function buy(userId: string, times: number[], memberships: number) {
  await world.sender.send(persist, [normalBatch(times.map((time) => order(userId, time)))])
  await waitFor(async () => (await stored(userId)) === memberships, { what: `memberships of ${userId}` })
  await waitFor(async () => {
    const served = await readServed(world.cache, await profileOf(userId))
    return served?.kind === 'members' && served.ends.size === memberships
  })
}

beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
  api = await startApi(world, { clock })
  other = await startApi(world, { clock })
  await world.run(persistPool, { clock })
  passes = await world.run(segmentPool, { clock })
  await api.post('/api/v1/segments', { slug: 'buyers', name: 'Buyers', rule: orders('P30D', 1) })
  await api.post('/api/v1/segments', { slug: 'regulars', name: 'Regulars', rule: orders('P60D', 2) })
})
afterAll(async () => {
  await api?.close()
  await other?.close()
  await world?.close()
})

test('right after an entry Redis answers, with the end of each membership', async () => {
  await buy('anna', [start - 2 * DAY, start - DAY], 2)
  await other.get('/api/v1/users/anna/segments')
  const before = await reads()
  const { body } = await api.get('/api/v1/users/anna/segments')
  expect(body.data).toEqual([
    { segmentId: 1, slug: 'buyers', name: 'Buyers', endsAt: new Date(start + 29 * DAY).toISOString() },
    { segmentId: 2, slug: 'regulars', name: 'Regulars', endsAt: new Date(start + 58 * DAY).toISOString() },
  ])
  const one = await api.get('/api/v1/users/anna/segments/regulars')
  expect(one.body).toMatchObject({ slug: 'regulars', member: true })
  expect(await reads()).toEqual({ ...before, hit: (before.hit ?? 0) + 2 })
  const byNumber = await api.get(`/api/v1/profiles/${await profileOf('anna')}/segments/1?details=true`)
  expect(byNumber.body).toMatchObject({ slug: 'buyers', member: true, version: 1, reason: 'event' })
  expect(byNumber.body.enteredAt).toMatch(/^20/)
})

test('a later order moves the end of what asks for it, though nobody enters or leaves', async () => {
  await world.sender.send(persist, [normalBatch([order('anna', start)])])
  await waitFor(async () => {
    const { body } = await api.get('/api/v1/users/anna/segments/buyers')
    return body.endsAt === new Date(start + 30 * DAY).toISOString()
  })
})

test('who is in none, who is nobody, and what is no segment', async () => {
  await world.sender.send(persist, [normalBatch([normalEvent({ userId: 'zoe', time: start })])])
  await waitFor(async () => (await profileOf('zoe')) > 0)
  expect(await slugsOf('zoe')).toEqual([])
  expect((await api.get('/api/v1/users/zoe/segments/buyers')).body).toMatchObject({
    member: false,
    endsAt: null,
  })
  expect(await slugsOf('nobody')).toBe(404)
  expect((await api.get('/api/v1/users/zoe/segments/bayers')).body).toMatchObject({ field: 'segment' })
  expect((await api.get('/api/v1/profiles/5/segments')).body).toMatchObject({ field: 'profileId' })
  await world.sender.send(persist, [normalBatch([normalEvent({ userId: 'nobody', time: start })])])
  await waitFor(async () => (await profileOf('nobody')) > 0)
  expect(await slugsOf('nobody')).toEqual([])
})

test('with no pass running, a membership ends at its millisecond, also when Redis was emptied', async () => {
  await buy('ben', [start - 5 * DAY, start - 4 * DAY], 2)
  await passes.stop()
  const end = start + 26 * DAY
  try {
    for (const isEmptied of [false, true]) {
      clock.set(end - 1)
      if (isEmptied) await eraseCache(world.producer, world.namespace)
      expect(await slugsOf('ben')).toEqual(['buyers', 'regulars'])
      clock.set(end)
      if (isEmptied) await eraseCache(world.producer, world.namespace)
      expect(await slugsOf('ben')).toEqual(['regulars'])
      expect(await slugsOf('ben', other)).toEqual(['regulars'])
    }
    expect(await stored('ben')).toBe(2)
    expect((await api.get('/api/v1/users/ben/segments/buyers')).body).toMatchObject({ member: false })
  } finally {
    clock.set(start)
    passes = await world.run(segmentPool, { clock })
  }
})

test('an emptied Redis is filled by the readers, once for all who ask at the same time', async () => {
  await eraseCache(world.producer, world.namespace)
  const answers = await Promise.all(Array.from({ length: 20 }, () => slugsOf('anna')))
  expect(new Set(answers.map(String))).toEqual(new Set(['buyers,regulars']))
  await waitFor(async () => (await readServed(world.cache, await profileOf('anna'))) !== undefined)
  const before = await reads()
  await slugsOf('anna')
  expect(await reads()).toEqual({ ...before, hit: (before.hit ?? 0) + 1 })
})

test('from the commit of a merge on, both ids are answered as the one who remains', async () => {
  await buy('old-carl', [start - 9 * DAY], 1)
  await buy('carl', [start - 2 * DAY, start - DAY], 2)
  expect([await slugsOf('old-carl'), await slugsOf('carl')]).toEqual([['buyers'], ['buyers', 'regulars']])
  const loser = await profileOf('carl')
  const winner = await profileOf('old-carl')
  await passes.stop()
  try {
    const alias = normalEvent({
      type: 'alias',
      name: '',
      userId: 'old-carl',
      previousId: 'carl',
      time: start,
    })
    await world.sender.send(persist, [normalBatch([alias])])
    await waitFor(async () => {
      await Promise.all([slugsOf('carl'), slugsOf('carl', other)])
      return (await profileOf('carl')) === winner
    })
    // No pass has looked at either: the winner is still in what they were in.
    expect(await slugsOf('carl')).toEqual(['buyers'])
    expect(await slugsOf('carl', other)).toEqual(['buyers'])
    expect((await api.get(`/api/v1/profiles/${loser}/segments`)).body.data).toHaveLength(1)
    await waitFor(async () => (await readServed(world.cache, loser))?.kind === 'merged')
    const before = await reads()
    await slugsOf('carl')
    expect(await reads()).toEqual({ ...before, hit: (before.hit ?? 0) + 1 })
  } finally {
    passes = await world.run(segmentPool, { clock })
  }
  await waitFor(async () => String(await slugsOf('carl')) === 'buyers,regulars')
})

test('who is read between the doubt and the commit of a merge is not remembered as they were', async () => {
  await buy('dora', [start - DAY], 1)
  await buy('dan', [start - 2 * DAY, start - DAY], 2)
  const [dora, dan] = [await profileOf('dora'), await profileOf('dan')]
  await world.sql.begin(async (tx) => {
    await tx`update profiles set merged_into = ${dora} where profile_id = ${dan}`
    const [row] = await tx<{ number: number }[]>`select pg_current_xact_id()::text::bigint as number`
    await doubtServed(world.cache, row?.number ?? 0, [dan])
    expect(await slugsOf('dan')).toEqual(['buyers', 'regulars'])
    expect(await slugsOf('dan')).toEqual(['buyers', 'regulars'])
  })
  expect(await slugsOf('dan')).toEqual(['buyers'])
  expect(await slugsOf('dan', other)).toEqual(['buyers'])
})

test('an archived segment is answered by no process, and one that comes back by all', async () => {
  await passes.stop()
  try {
    expect(await slugsOf('anna', other)).toEqual(['buyers', 'regulars'])
    expect((await api.call('DELETE', '/api/v1/segments/regulars')).status).toBe(200)
    for (const one of [other, api]) {
      expect(await slugsOf('anna', one)).toEqual(['buyers'])
      expect((await one.get('/api/v1/users/anna/segments/regulars')).status).toBe(404)
    }
    await eraseCache(world.producer, world.namespace)
    expect(await slugsOf('anna', other)).toEqual(['buyers'])
    const rule = { rule: orders('P61D', 2) }
    expect((await api.call('PUT', '/api/v1/segments/regulars/rule', { body: rule })).status).toBe(200)
    expect(await slugsOf('anna', other)).toEqual(['buyers', 'regulars'])
  } finally {
    passes = await world.run(segmentPool, { clock })
  }
})

test('while a change of segments is still to be committed, nobody remembers what they read', async () => {
  await world.sql.begin(async (tx) => {
    await tx`update segments set archived_at = now() where slug = 'buyers'`
    await tx`update settings set value = to_jsonb((value #>> '{}')::bigint + 1) where name = 'segments_generation'`
    const [row] = await tx<{ number: number }[]>`select pg_current_xact_id()::text::bigint as number`
    await changeSegmentToken(world.cache, row?.number ?? 0)
    expect(await slugsOf('anna', other)).toContain('buyers')
  })
  expect(await slugsOf('anna', other)).not.toContain('buyers')
  await api.call('PUT', '/api/v1/segments/buyers/rule', { body: { rule: orders('P30D', 1) } })
  await waitFor(async () => String(await slugsOf('anna', other)) === 'buyers,regulars')
})

test('without Redis Postgres answers, at once and the same, and Redis is used again when it is back', async () => {
  const redis = connectForCache(world.redisUrl)
  await whenReady(redis)
  const metrics = createMetrics()
  const cache = openCache(redis, world.namespace)
  const reader = createMembershipReader({ ...world, cache, clock, metrics })
  const slugs = (found: ServedMemberships | undefined) => found?.held.map(({ segment }) => segment.slug)
  const results = async () => {
    const { values } = await metrics.membershipReads.get()
    return Object.fromEntries(values.map(({ labels, value }) => [labels.result, value]))
  }
  const withRedis = slugs(await reader.ofUser('anna'))
  expect(withRedis).toEqual(['buyers', 'regulars'])
  redis.disconnect()
  await waitFor(() => redis.status === 'end')
  expect(slugs(await reader.ofUser('anna'))).toEqual(withRedis)
  expect(await results()).toMatchObject({ away: 1 })
  await redis.connect()
  const { hit = 0 } = await results()
  await reader.ofUser('anna')
  await waitFor(async () => {
    await reader.ofUser('anna')
    return ((await results()).hit ?? 0) > hit
  })
  await cache.close()
})

test('a user id whose profile is no more is looked up anew', async () => {
  await buy('eve', [start - DAY], 1)
  expect(await slugsOf('eve')).toEqual(['buyers'])
  const gone = await profileOf('eve')
  const zoe = await profileOf('zoe')
  await world.sql`update identities set profile_id = ${zoe} where value = 'eve'`
  await world.sql`delete from profiles where profile_id = ${gone}`
  const { key, field } = placeOf(world.cache, gone)
  await world.cache.redis.hdel(key, field)
  expect(await slugsOf('eve')).toEqual([])
  expect(await slugsOf('eve', other)).toEqual([])
})
