// The feed of membership changes over HTTP: live, resumed without a gap, filtered, counted, cut off and ended as it says.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodePosition, START } from '../../domain/feed-position.ts'
import { issueKey } from '../../store/keys.ts'
import type { MembershipChange } from '../../store/memberships.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { openFeed } from '../support/feed-client.ts'
import { addPeople, addSegment, changeOf, writeAll } from '../support/feed-writer.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

const pace = { heartbeatMs: 300, checkMs: 100, slowMs: 400 }
let world: World
let api: ApiServer
let people: number[]
let gold: number
let silver: number

beforeAll(async () => {
  world = await testWorld({}, { servers: 2 })
  people = await addPeople(world.servers, 200)
  gold = await addSegment(world.servers, 'gold')
  silver = await addSegment(world.servers, 'silver')
  api = await startApi(world, { feedPace: pace })
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

const write = (changes: MembershipChange[]) => writeAll(world.servers, changes)
const some = (from: number, to: number, over: Partial<MembershipChange> = {}) =>
  people.slice(from, to).map((id) => changeOf(id, { segmentId: gold, ...over }))
const problem = async (query: string, options = {}) =>
  openFeed(api, query, options).then(
    () => undefined,
    (error: Error) => JSON.parse(error.message),
  )
const idsOf = (changes: { id: number }[]) => changes.map(({ id }) => id).sort((a, b) => a - b)
const storedIds = async () =>
  idsOf(await world.onAll((sql) => sql<{ id: number }[]>`select change_id as id from membership_changes`))

test('a change arrives with all that is known of it, though nobody told of it', async () => {
  const feed = await openFeed(api)
  expect(feed.response.headers.get('x-accel-buffering')).toBe('no')
  expect(feed.response.headers.get('cache-control')).toContain('no-transform')
  const [id = 0] = people
  const metrics = [{ path: 'rule.match', k: 'agg', holds: true, value: '6', op: 'gt', threshold: '5' }]
  const effectiveAtMs = Date.UTC(2026, 10, 20, 9, 31, 7)
  await write([changeOf(id, { segmentId: gold, reason: 'time', version: 3, effectiveAtMs, metrics })])
  const [change] = await feed.take(1)
  expect(change).toEqual({
    id: expect.any(Number),
    segment: gold,
    slug: 'gold',
    profileId: id,
    userId: `u-${id}`,
    op: 'enter',
    reason: 'time',
    version: 3,
    effectiveAt: '2026-11-20T09:31:07.000Z',
    recordedAt: expect.any(String),
    metrics,
  })
  expect(await storedIds()).toEqual([change?.id])
  const history = await api.get(`/api/v1/users/u-${id}/segment-changes`)
  expect(history.body.data[0].metrics).toEqual(metrics)
  const members = await api.get('/api/v1/segments/gold/members')
  expect(members.body.data).toMatchObject([{ profileId: id, metrics }])
  await feed.cut()
})

test('cut off again and again, a feed that goes on misses nothing, with two processes and writers all the while', {
  timeout: 60_000,
}, async () => {
  const other = await startApi(world, { feedPace: pace })
  const before = await storedIds()
  let isWriting = true
  const writers = Promise.all(
    [0, 1, 2].map(async (writer) => {
      for (let n = 0; n < 40; n++) {
        const op = n % 2 === 0 ? 'enter' : 'exit'
        await write(some(writer * 60 + (n % 3) * 20, writer * 60 + (n % 3) * 20 + 20, { op, version: n + 1 }))
      }
    }),
  ).finally(() => {
    isWriting = false
  })
  const seen = new Set<number>()
  let lastId: string | undefined = encodePosition(START)
  let cuts = 0
  for (;;) {
    const wasDone = !isWriting
    const feed = await openFeed(cuts % 2 === 0 ? api : other, '', { lastId: lastId ?? '' })
    if (wasDone) await waitFor(() => feed.comments.includes('still here'), { what: 'silence' })
    else await new Promise((resolve) => setTimeout(resolve, 40 + ((cuts * 37) % 150)))
    await feed.cut()
    const changes = feed.changes()
    for (const { id } of changes) seen.add(id)
    // What comes again after a cut begins before it; within a feed a person's changes only go on.
    const within = new Map<number, number>()
    for (const { profileId, id } of changes) {
      expect(id).toBeGreaterThan(within.get(profileId) ?? 0)
      within.set(profileId, id)
    }
    lastId = feed.lastId()
    cuts += 1
    if (wasDone) break
  }
  await writers
  await other.close()
  const stored = await storedIds()
  expect(stored.length).toBe(before.length + 3 * 40 * 20)
  expect(cuts).toBeGreaterThan(5)
  expect([...seen].sort((a, b) => a - b)).toEqual(stored)
})

test('only what was asked for comes, and the position goes on over the rest', async () => {
  const [one = 0, two = 0] = people.slice(190)
  const feeds = await Promise.all([
    openFeed(api, '?segment=silver'),
    openFeed(api, `?user=u-${one}`),
    openFeed(api, '?op=exit'),
    openFeed(api, '?reason=late'),
    openFeed(api, `?segment=${silver}&user=u-${two}&op=enter&reason=event`),
  ])
  await write([
    changeOf(one, { segmentId: gold }),
    changeOf(one, { segmentId: silver, reason: 'late' }),
    changeOf(two, { segmentId: silver }),
    changeOf(two, { segmentId: gold, op: 'exit', reason: 'time' }),
  ])
  const told = await Promise.all(
    [2, 2, 1, 1, 1].map(async (count, i) => {
      const changes = (await feeds[i]?.take(count)) ?? []
      return changes.map(({ userId, slug }) => `${userId} ${slug}`).sort()
    }),
  )
  expect(told).toEqual([
    [`u-${one} silver`, `u-${two} silver`],
    [`u-${one} gold`, `u-${one} silver`],
    [`u-${two} gold`],
    [`u-${one} silver`],
    [`u-${two} silver`],
  ])
  const [, ofOne] = feeds
  const atFirst = ofOne?.lastId() ?? ''
  await write(some(0, 60, { op: 'exit' }))
  await waitFor(() => ofOne?.lastId() !== atFirst, { what: 'a position over what was left out' })
  expect(ofOne?.changes().length).toBe(2)
  const page = await api.call('GET', `/api/v1/segment-feed?after=${ofOne?.lastId()}`, {
    headers: { accept: 'application/json' },
  })
  expect(page.body.data).toEqual([])
  await Promise.all(feeds.map((feed) => feed.cut()))
})

test('after a merge a user is the winner, and the loser who leaves', async () => {
  const [loser = 0, winner = 0] = people.slice(180)
  const feed = await openFeed(api, `?user=u-${loser}`)
  await write([changeOf(loser, { segmentId: silver })])
  await feed.take(1)
  await world.sql`update identities set profile_id = ${winner} where kind = 0 and value = ${`u-${loser}`}`
  await write([
    changeOf(loser, { segmentId: silver, op: 'exit', reason: 'merged' }),
    changeOf(winner, { segmentId: silver }),
  ])
  const changes = await feed.take(3)
  expect(changes.map(({ profileId, op }) => [profileId, op]).sort()).toEqual(
    [
      [loser, 'enter'],
      [loser, 'exit'],
      [winner, 'enter'],
    ].sort(),
  )
  await feed.cut()
})

test('as JSON it comes in pages, from the start to the end, each change once', async () => {
  const read: { id: number }[] = []
  let after = 'start'
  for (let more = true; more; ) {
    const page = await api.call('GET', `/api/v1/segment-feed?after=${after}`, {
      headers: { accept: 'application/json' },
    })
    expect(page.status).toBe(200)
    expect(page.body.data.length).toBeLessThanOrEqual(500)
    read.push(...page.body.data)
    after = page.body.after
    more = page.body.more
  }
  expect(idsOf(read)).toEqual(await storedIds())
})

test('mistakes are answered before anything streams', async () => {
  expect(await problem('?segment=none')).toMatchObject({ status: 404, field: 'segment' })
  expect(await problem('?user=nobody')).toMatchObject({ status: 404, field: 'user' })
  expect(await problem('?op=stay')).toMatchObject({ status: 400 })
  expect(await problem('?after=yesterday')).toMatchObject({ status: 400, field: 'after' })
  expect(await problem('', { lastId: 'AAAA' })).toMatchObject({ status: 400, field: 'Last-Event-ID' })
  const ahead = encodePosition(START.map(() => 10_000_000))
  expect(await problem(`?after=${ahead}`)).toMatchObject({ status: 400, field: 'after' })
  expect(await problem('', { key: 'mk_sec_wrong' })).toMatchObject({ status: 401 })
  await world.sql`insert into sources (name) values ('app')`
  const { key } = await issueKey(world.sql, { kind: 'pub', sourceId: 1, name: 'app' }, randomBytes(16))
  expect(await problem('', { key })).toMatchObject({ status: 403 })
  const page = await api.call('GET', '/api/v1/segment-feed?counters=true', {
    headers: { accept: 'application/json' },
  })
  expect([page.status, page.body.field]).toEqual([400, 'counters'])
})
