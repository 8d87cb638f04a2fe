// What readers of memberships see of a change of segments: at once, while no pass has moved anybody; within a second when nobody
// told Redis; and nothing at all of a change that could not be told.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openCache } from '../../cache/connect.ts'
import { readServed, writeServed } from '../../cache/memberships.ts'
import { jobsInFlow } from '../../cli/demo/counts.ts'
import { connectForCache, whenReady } from '../../queues/connection.ts'
import { persist } from '../../queues/pipeline.ts'
import { manualClock } from '../../runtime/clock.ts'
import { readEventIds } from '../../store/histories.ts'
import { archiveSegment } from '../../store/segments.ts'
import { createSegmentCatalog } from '../../workers/live-segments.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { runPass } from '../../workers/segment/pass.ts'
import { segmentPool } from '../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

const DAY = 86_400_000
const start = Date.UTC(2026, 10, 20)
const clock = manualClock(start)

let world: World
/** Two processes, and one whose Redis can be taken away. */
let api: ApiServer
let other: ApiServer
let apart: ApiServer
let passes: Awaited<ReturnType<World['run']>>
const redis = { of: connectForCache('redis://127.0.0.1:1') }

const rule = (event: string, last: string) => ({
  match: { k: 'agg', event, agg: 'count', window: { k: 'rolling', last }, op: 'gte', value: 1 },
})
const happens = (userId: string, name: string, daysAgo: number) =>
  normalEvent({ userId, name, time: start - daysAgo * DAY, receivedAt: start - daysAgo * DAY + 1 })
const iso = (days: number) => new Date(start + days * DAY).toISOString()
/** Slug and end, in days from the start. */
const endsOf = async (userId: string, from = api): Promise<Record<string, number | null>> => {
  const { body } = await from.get(`/api/v1/users/${userId}/segments`)
  const rows: { slug: string; endsAt: string | null }[] = body.data
  return Object.fromEntries(
    rows.map(({ slug, endsAt }) => [slug, endsAt === null ? null : (Date.parse(endsAt) - start) / DAY]),
  )
}
const profileOf = async (userId: string) => {
  const [row] = await world.sql<{ id: number }[]>`
    select profile_id as id from identities where kind = 0 and value = ${userId}`
  return row?.id ?? 0
}
const hits = async () => {
  const { values } = await world.metrics.membershipReads.get()
  return values.find(({ labels }) => labels.result === 'hit')?.value ?? 0
}
const audits = async () => (await world.sql`select 1 from audit_log`).length
const isQuiet = () =>
  waitFor(async () => (await jobsInFlow(world.producer, world.config)) === 0, { what: 'empty queues' })
const put = (path: string, body: unknown, from = api) =>
  from.call('PUT', `/api/v1/segments/${path}`, { body })
async function draft(slug: string, last: string) {
  expect((await put(`${slug}/draft`, { rule: rule('Order Completed', last) })).status).toBe(200)
  await waitFor(async () => (await api.get(`/api/v1/segments/${slug}`)).body.draft?.state === 'draft')
  await isQuiet()
}

/** A pass that looks only at the rules that ask for views. */
async function passOverViews(userId: string) {
  const asked = await readEventIds(world.sql, [{ type: 'track', event: 'Viewed' }])
  const viewed = new Set([...asked.values()].flat().map(({ eventId }) => eventId))
  const { served } = await runPass({ sql: world.sql, home: world.sql }, createSegmentCatalog(), {
    ...{
      shards: world.config.shards,
      clock,
      reasons: new Map([[await profileOf(userId), 'event' as const]]),
    },
    eventIds: new Map([[await profileOf(userId), viewed]]),
  })
  expect(served.people).toHaveLength(1)
  await writeServed(world.cache, served.stamp, served.people)
}

beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
  redis.of.disconnect()
  redis.of = connectForCache(world.redisUrl)
  await whenReady(redis.of)
  api = await startApi(world, { clock })
  other = await startApi(world, { clock })
  apart = await startApi(world, { clock, cache: openCache(redis.of, world.namespace) })
  await world.run(persistPool, { clock })
  passes = await world.run(segmentPool, { clock })
  const wanted = { name: 'Of this test', rule: rule('Order Completed', 'P30D') }
  await api.post('/api/v1/segments', { slug: 'buyers', ...wanted })
  await api.post('/api/v1/segments', { slug: 'viewers', name: 'Viewers', rule: rule('Viewed', 'P30D') })
  const asks = {
    match: { k: 'all', of: [{ k: 'segment', segment: 'buyers' }, rule('Viewed', 'P90D').match] },
  }
  await api.post('/api/v1/segments', { slug: 'buying-viewers', name: 'Both', rule: asks })
  await world.sender.send(persist, [
    normalBatch([
      ...[happens('anna', 'Order Completed', 5), happens('anna', 'Viewed', 1)],
      ...[happens('ben', 'Order Completed', 20), happens('ben', 'Viewed', 3)],
      ...[happens('carl', 'Order Completed', 40), happens('carl', 'Viewed', 3)],
      happens('dora', 'Order Completed', 5),
    ]),
  ])
  await waitFor(async () => (await profileOf('dora')) > 0)
  await isQuiet()
})
afterAll(async () => {
  for (const one of [api, other, apart]) await one?.close()
  redis.of.disconnect()
  await world?.close()
})

test('a draft is never served, and once published it is by all: who leaves, who enters, and when that ends', async () => {
  const before = { buyers: 10, viewers: 27, 'buying-viewers': 10 }
  expect(await endsOf('ben')).toEqual(before)
  await draft('buyers', 'P10D')
  // ben's membership in the live rule and none in the draft, carl in neither.
  expect([await endsOf('ben'), await endsOf('ben', other)]).toEqual([before, before])
  expect(await endsOf('carl', other)).toEqual({ viewers: 27 })
  expect(await endsOf('anna')).toEqual({ buyers: 25, viewers: 29, 'buying-viewers': 25 })
  await passes.stop()
  expect((await api.post('/api/v1/segments/buyers/draft/publish')).status).toBe(200)
  for (const one of [other, api]) {
    expect(await endsOf('ben', one)).toEqual({ viewers: 27 })
    // In both versions, so nobody evaluates her anew: her end is another one all the same, also where another rule asks.
    expect(await endsOf('anna', one)).toEqual({ buyers: 5, viewers: 29, 'buying-viewers': 5 })
  }
  const one = await other.get('/api/v1/users/ben/segments/buyers')
  expect(one.body).toMatchObject({ member: false, endsAt: null })
})

test('while nobody has been moved, a pass that looks at another rule does not bring the old answer back', async () => {
  expect(await endsOf('ben')).toEqual({ viewers: 27 })
  await passOverViews('ben')
  expect(await endsOf('ben')).toEqual({ viewers: 27 })
  expect(await endsOf('ben', other)).toEqual({ viewers: 27 })
})

test('the way back leads back at once, also for who enters by it, and then Redis answers alone', async () => {
  expect((await api.post('/api/v1/segments/buyers/rollback')).status).toBe(200)
  for (const one of [other, api]) {
    expect(await endsOf('ben', one)).toEqual({ buyers: 10, viewers: 27, 'buying-viewers': 10 })
    expect(await endsOf('anna', one)).toEqual({ buyers: 25, viewers: 29, 'buying-viewers': 25 })
  }
  passes = await world.run(segmentPool, { clock })
  await draft('buyers', 'P60D')
  await passes.stop()
  expect(await endsOf('carl', other)).toEqual({ viewers: 27 })
  expect((await api.post('/api/v1/segments/buyers/draft/publish')).status).toBe(200)
  const after = { buyers: 20, viewers: 27, 'buying-viewers': 20 }
  expect([await endsOf('carl', other), await endsOf('carl')]).toEqual([after, after])
  await passOverViews('carl')
  expect([await endsOf('carl', other), await endsOf('carl')]).toEqual([after, after])
  passes = await world.run(segmentPool, { clock })
  await waitFor(async () => (await api.get('/api/v1/segments/buyers')).body.state === 'live')
  await isQuiet()
  const rows =
    await world.sql`select 1 from memberships where segment_id > 0 and profile_id = ${await profileOf('carl')}`
  expect(rows).toHaveLength(3)
  expect([await endsOf('carl', other), await endsOf('carl')]).toEqual([after, after])
  // In both versions, so nobody has looked at her since: Redis still has the end by the one of before.
  const old = await readServed(world.cache, await profileOf('dora'))
  expect(old).toMatchObject({ ends: new Map([[1, start + 25 * DAY]]) })
  expect(await endsOf('dora')).toEqual({ buyers: 55 })
  // What a reader finds in Postgres it writes to Redis after it has answered.
  await waitFor(async () => {
    const before = await hits()
    expect(await endsOf('carl')).toEqual(after)
    return (await hits()) === before + 1
  })
})

test('a change that told Redis nothing shows within about a second', async () => {
  expect(await endsOf('carl', other)).toMatchObject({ 'buying-viewers': 20 })
  const { body } = await api.get('/api/v1/segments/buying-viewers')
  await archiveSegment(world.sql, body.segmentId)
  const startedMs = performance.now()
  await waitFor(async () => (await endsOf('carl', other))['buying-viewers'] === undefined)
  expect(performance.now() - startedMs).toBeLessThan(2500)
})

test('without Redis a change of segments is refused as unavailable, and nothing of it is done', async () => {
  await draft('buyers', 'P15D')
  const before = await apart.get('/api/v1/segments/buyers')
  redis.of.disconnect()
  await waitFor(() => redis.of.status === 'end')
  const audited = await audits()
  const wanted = { slug: 'late', name: 'Late', rule: rule('Viewed', 'P2D') }
  const refused = [
    await apart.post('/api/v1/segments', wanted, { 'idempotency-key': 'once' }),
    await put('buyers/rule', { rule: rule('Order Completed', 'P3D') }, apart),
    await apart.post('/api/v1/segments/buyers/draft/publish'),
    await apart.post('/api/v1/segments/buyers/rollback'),
    await apart.call('DELETE', '/api/v1/segments/viewers'),
  ]
  const codes = refused.map(({ status, body, headers }) => [status, body.code, headers.get('retry-after')])
  const unavailable = [503, 'unavailable', '2']
  // There is a draft in the place of the version before.
  expect(codes).toEqual([unavailable, unavailable, unavailable, [409, 'conflict', null], unavailable])
  expect((await apart.get('/api/v1/segments/buyers')).body).toEqual(before.body)
  expect((await apart.get('/api/v1/segments/late')).status).toBe(404)
  expect((await apart.get('/api/v1/segments/viewers')).body.state).toBe('live')
  expect(await audits()).toBe(audited)
  // A draft is not served, so nobody needs to be told of it.
  expect((await put('buyers/draft', { rule: rule('Order Completed', 'P16D') }, apart)).status).toBe(200)
  await redis.of.connect()
  expect((await apart.post('/api/v1/segments', wanted, { 'idempotency-key': 'once' })).status).toBe(201)
})

test('a Redis that says nothing of somebody is told, and what it says ends at its instant', async () => {
  const anna = await profileOf('anna')
  const value = await waitFor(async () => {
    await endsOf('anna')
    return readServed(world.cache, anna)
  })
  expect(value.kind).toBe('members')
  const { body } = await api.get('/api/v1/users/anna/segments/viewers')
  expect(body.endsAt).toBe(iso(29))
  clock.set(start + 29 * DAY)
  expect((await api.get('/api/v1/users/anna/segments/viewers')).body).toMatchObject({ member: false })
  clock.set(start)
})
