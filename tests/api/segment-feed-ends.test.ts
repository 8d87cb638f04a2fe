// What bounds the feed: counters instead of the flood, so many listeners, and why one is ended: revoked, slow, stopping.
import { randomBytes } from 'node:crypto'
import { get, type IncomingMessage } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodePosition } from '../../domain/feed-position.ts'
import { newestPosition } from '../../store/feed.ts'
import { issueKey, revokeKey } from '../../store/keys.ts'
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

beforeAll(async () => {
  world = await testWorld({}, { servers: 2 })
  people = await addPeople(world.servers, 200)
  gold = await addSegment(world.servers, 'gold')
  await addSegment(world.servers, 'silver')
  api = await startApi(world, { feedPace: pace })
  await write(some(40, 90))
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

const write = (changes: MembershipChange[]) => writeAll(world.servers, changes)
const some = (from: number, to: number, over: Partial<MembershipChange> = {}) =>
  people.slice(from, to).map((id) => changeOf(id, { segmentId: gold, ...over }))

test('counters begin with everything, add up to what is stored, and come four times a second at most', async () => {
  const bronze = await addSegment(world.servers, 'bronze')
  const sizeOf = async (slug: string) => (await api.get(`/api/v1/segments/${slug}/size`)).body.size
  await write(some(0, 7, { segmentId: bronze }))
  const feed = await openFeed(api, '?counters=true')
  await waitFor(() => feed.counters().length === 1)
  const [begin] = feed.counters()
  for (const slug of ['bronze', 'gold', 'silver']) {
    const counter = begin?.segments.find((one) => one.slug === slug)
    expect(counter, slug).toMatchObject({ entered: 0, left: 0, members: await sizeOf(slug) })
  }
  const startedAt = performance.now()
  const crowd = (to: number, over: Partial<MembershipChange>) =>
    write(some(100, to, { segmentId: bronze, ...over }))
  for (let n = 0; n < 20; n++) await crowd(160, { op: n % 2 === 0 ? 'enter' : 'exit', version: n })
  await crowd(130, { version: 20 })
  const total = (name: 'entered' | 'left') =>
    feed
      .counters()
      .reduce((sum, { segments }) => sum + (segments.find(({ slug }) => slug === 'bronze')?.[name] ?? 0), 0)
  await waitFor(() => total('entered') === 10 * 60 + 30, { what: 'all entries counted' })
  const took = performance.now() - startedAt
  expect(total('left')).toBe(10 * 60)
  const last = feed.counters().at(-1)?.segments
  expect(last?.map(({ slug, members }) => [slug, members])).toEqual([['bronze', 37]])
  expect(await sizeOf('bronze')).toBe(37)
  expect(feed.counters().length).toBeLessThanOrEqual(2 + took / 250)
  expect(feed.changes()).toEqual([])
  const one = await openFeed(api, '?counters=true&segment=silver')
  await waitFor(() => one.counters().length === 1)
  expect(one.counters()[0]?.segments.map(({ slug }) => slug)).toEqual(['silver'])
  await Promise.all([feed.cut(), one.cut()])
})

test('there are so many feeds a process and no more, and a place is free again when one goes', async () => {
  const small = await startApi(world, { feedPace: pace, config: { feedListeners: 2 } })
  const feeds = [await openFeed(small), await openFeed(small, '?counters=true')]
  const refused = await fetch(`${small.url}/api/v1/segment-feed`, {
    headers: { authorization: `Bearer ${small.key}` },
  })
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5'])
  expect(await refused.json()).toMatchObject({ code: 'too_many_listeners' })
  await feeds[0]?.cut()
  const again = await waitFor(() => openFeed(small))
  await Promise.all([feeds[1]?.cut(), again.cut()])
  await small.close()
})

test('a revoked key gets no more than what is on its way', async () => {
  const { key, keyId } = await issueKey(world.sql, { kind: 'sec', name: 'short-lived' }, randomBytes(16))
  const feed = await openFeed(api, '', { key })
  await revokeKey(world.sql, keyId)
  await waitFor(() => feed.isOver(), { what: 'its end' })
  expect(feed.ending()).toBe('unauthorized')
})

test('one that takes nothing is cut off with the reason, and goes on where it was', async () => {
  const impatient = await startApi(world, { feedPace: { ...pace, slowMs: 2000 } })
  const metrics = Array.from({ length: 12 }, (_, i) => ({
    path: `rule.match.of[${i}]`,
    k: 'trait',
    holds: true,
    value: 'v'.repeat(900),
  }))
  const from = encodePosition(await newestPosition(world.servers))
  const stuck = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { authorization: `Bearer ${impatient.key}`, 'last-event-id': from }
    get(`${impatient.url}/api/v1/segment-feed`, { headers }, resolve).on('error', reject)
  })
  for (let n = 0; n < 6; n++) await write(some(0, 200, { version: 300 + n, metrics }))
  const isCutOff = async () =>
    (await world.metrics.feedEnds.get()).values.some(({ labels }) => labels.reason === 'slow')
  await waitFor(isCutOff, { what: 'the slow one to be cut off' })
  let text = ''
  for await (const chunk of stuck) text += chunk
  expect(text.slice(-60)).toMatch(/event: end\ndata: \{"reason":"slow"\}\n\n$/)
  const lastId = [...text.matchAll(/^id: (.+)$/gm)].at(-1)?.[1] ?? from
  const rest = await openFeed(impatient, '', { lastId })
  const got = [...text.matchAll(/^data: \{"id":(\d+)/gm)].map((match) => Number(match[1]))
  expect(got.length).toBeLessThan(1200)
  await waitFor(() => new Set([...got, ...rest.changes().map(({ id }) => id)]).size === 1200, {
    what: 'the rest',
  })
  await rest.cut()
  await impatient.close()
})

test('a process that stops ends its feeds at once, and another goes on', async () => {
  const first = await startApi(world, { feedPace: pace })
  const feed = await openFeed(first)
  await write(some(0, 10, { version: 400 }))
  await feed.take(10)
  const stoppedAt = performance.now()
  await first.close()
  await feed.done
  expect(performance.now() - stoppedAt).toBeLessThan(3000)
  expect(feed.ending()).toBe('stopping')
  await write(some(0, 10, { version: 401 }))
  const next = await openFeed(api, '', { lastId: feed.lastId() })
  expect((await next.take(10)).map(({ version }) => version)).toEqual(Array(10).fill(401))
  await next.cut()
})
