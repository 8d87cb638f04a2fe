// The size of an unsaved rule, followed from an estimate until it is exact, over people on two Postgres servers.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createRandom } from '../../cli/demo/random.ts'
import { inTransaction } from '../../store/sql.ts'
import { segmentPool } from '../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { addHashedPeople } from '../support/hashed-people.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

// Many requests one after the other; the time is a limit, not a measure.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })

const PEOPLE = 3_000
const RULES = 24
const random = createRandom(7, 'previews')
/** Each is of one group alone, so that what is told of two rules does not hang together; of a few people up to some two hundred. */
const people = Array.from({ length: PEOPLE }, (_, i) => ({
  userId: `person-${i}`,
  traits: { group: Math.floor(Math.sqrt(random.next()) * RULES) },
}))
const ruleOf = (rule: number) => ({ match: { k: 'trait', path: 'group', op: 'eq', value: rule } })
const sizeOf = (rule: number) => people.filter(({ traits }) => traits.group === rule).length

type Preview = {
  members: number
  of: number
  share: number
  complete: boolean
  estimate: { members: number; low: number; high: number }
  asOf: string
  nextCursor: string | null
}

let world: World
/** Its clock is a minute later at each look: every request makes one step. */
let api: ApiServer

async function ask(rule: unknown, cursor?: string | null, of: ApiServer = api) {
  return of.post('/api/v1/segments/preview', { rule, ...(cursor == null ? {} : { cursor }) })
}

async function follow(rule: unknown, from?: string | null, of: ApiServer = api): Promise<Preview[]> {
  const looks: Preview[] = []
  let cursor = from
  do {
    const { status, body } = await ask(rule, cursor, of)
    expect([status, body]).toEqual([200, expect.anything()])
    looks.push(body)
    cursor = body.nextCursor
  } while (cursor !== null)
  return looks
}

beforeAll(async () => {
  world = await testWorld({}, { servers: 2 })
  await addHashedPeople(world.servers, people)
  let now = Date.now()
  api = await startApi(world, { clock: { now: () => (now += 60_000) } })
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('it becomes exact, and is within its interval before as often as that says', async () => {
  let inside = 0
  let told = 0
  for (let rule = 0; rule < RULES; rule++) {
    const looks = await follow(ruleOf(rule))
    const size = sizeOf(rule)
    expect(looks.at(-1)).toMatchObject({
      ...{ members: size, of: PEOPLE, share: 1, complete: true, nextCursor: null },
      estimate: { members: size, low: size, high: size },
    })
    const shares = looks.map((look) => look.share)
    expect(shares).toEqual(shares.toSorted((a, b) => a - b))
    expect(looks.length).toBeGreaterThan(4)
    expect(new Set(looks.map((look) => look.asOf)).size).toBe(1)
    for (const { estimate } of looks.slice(0, -1)) {
      told += 1
      if (estimate.low <= size && size <= estimate.high) inside += 1
    }
  }
  expect(told).toBeGreaterThan(RULES * 4 - 1)
  expect(inside / told).toBeGreaterThan(0.94)
  // Of groups that small half of the looks find nearly nobody; an interval that is always right says nothing.
  expect(inside).toBeLessThan(told)
})

test('what was followed to the end is the number of members once it is a segment', async () => {
  await world.run(segmentPool)
  const rule = { match: { k: 'any', of: [ruleOf(3).match, { k: 'not', of: ruleOf(23).match }] } }
  const exact = (await follow(rule)).at(-1)
  await api.post('/api/v1/segments', { slug: 'tried', name: 'Tried', rule })
  await waitFor(async () => (await api.get('/api/v1/segments/tried')).body.state === 'live', {
    timeoutMs: 40_000,
  })
  expect((await api.get('/api/v1/segments/tried/size')).body.size).toBe(exact?.members)
  expect(exact?.members).toBeGreaterThan(500)
})

test('a cut request is sent again, and another process goes on from it, without counting anybody twice', async () => {
  const [first, second] = await follow(ruleOf(20))
  const again = await ask(ruleOf(20), first?.nextCursor)
  expect({ ...again.body, tookMs: 0 }).toEqual({ ...second, tookMs: 0 })
  const other = await startApi(world)
  const looks = await follow(ruleOf(20), second?.nextCursor, other)
  expect(looks.at(-1)).toMatchObject({ members: sizeOf(20), of: PEOPLE, complete: true, asOf: first?.asOf })
  await other.close()
})

test('a cursor is good for the same question alone', async () => {
  const { body } = await ask(ruleOf(1))
  const other = await ask(ruleOf(2), body.nextCursor)
  expect([other.status, other.body.code, other.body.field]).toEqual([409, 'conflict', 'cursor'])
  for (const cursor of ['x', Buffer.from('{"done":1}').toString('base64url')]) {
    const made = await ask(ruleOf(1), cursor)
    expect([made.status, made.body.code, made.body.field]).toEqual([400, 'invalid_request', 'cursor'])
    expect(made.body.detail).toContain('body.cursor')
  }
  await api.post('/api/v1/segments', { slug: 'referred', name: 'Referred', rule: ruleOf(5) })
  const over = { match: { k: 'segment', segment: 'referred' } }
  const before = await ask(over)
  expect(before.status).toBe(200)
  await api.call('PUT', '/api/v1/segments/referred/rule', { body: { rule: ruleOf(6) } })
  expect((await ask(over, before.body.nextCursor)).status).toBe(409)
  expect((await follow(over)).at(-1)?.members).toBe(sizeOf(6))
})

test('many people in one bucket are looked at a slice at a time, each once', async () => {
  const crowd = Array.from({ length: 9_000 }, (_, i) => ({
    userId: `crowd-${i}`,
    traits: { crowd: i % 3 === 0 },
  }))
  await addHashedPeople(world.servers, crowd, { firstNumber: 10_000, bucket: 0 })
  const looks = await follow({ match: { k: 'trait', path: 'crowd', op: 'eq', value: true } })
  expect(looks.at(-1)).toMatchObject({ members: 3_000, of: PEOPLE + 9_000, complete: true })
  // All of them in the first step would be two steps' worth.
  expect(looks[0]?.of).toBeGreaterThan(500)
  expect(looks[0]?.of).toBeLessThan(2_000)
})

test('nobody is looked at for a client that is gone, and its place is free again', async () => {
  let buckets = 0
  const servers = {
    ...world.servers,
    of(profileId: number) {
      buckets += 1
      return world.servers.of(profileId)
    },
  }
  const real = await startApi({ ...world, servers })
  // Nobody comes further than to the first bucket until all who asked have gone.
  const released = Promise.withResolvers<void>()
  const locked = Promise.withResolvers<void>()
  const holding = inTransaction(world.servers.of(0), async (tx) => {
    await tx`lock table profiles in access exclusive mode`
    locked.resolve()
    await released.promise
  })
  await locked.promise
  const gone = new AbortController()
  const body = JSON.stringify({ rule: ruleOf(1), budgetMs: 20_000 })
  const headers = { authorization: `Bearer ${real.key}`, 'content-type': 'application/json' }
  const asked = Array.from({ length: 5 }, () =>
    fetch(`${real.url}/api/v1/segments/preview`, { method: 'POST', body, headers, signal: gone.signal }),
  )
  const ended = Promise.allSettled(asked)
  await waitFor(() => buckets === 5, { what: 'five who wait for the first bucket' })
  const sixth = await ask(ruleOf(1), undefined, real)
  expect([sixth.status, sixth.headers.get('retry-after')]).toEqual([429, '5'])
  gone.abort()
  expect((await ended).map((one) => one.status)).toEqual(Array.from({ length: 5 }, () => 'rejected'))
  const connections = () =>
    new Promise<number>((resolve) => real.app.server.getConnections((_error, count) => resolve(count)))
  await waitFor(async () => (await connections()) <= 1, { what: 'the five to be gone' })
  released.resolve()
  await holding
  // Each counts the first bucket, and makes the one step that it had begun.
  await waitFor(() => buckets === 10, { what: 'a step of each' })
  const next = await api.post('/api/v1/segments/preview', { rule: ruleOf(1) })
  expect(next.status).toBe(200)
  expect(buckets).toBe(10)
  await waitFor(async () => (await ask(ruleOf(1), undefined, real)).status === 200, { what: 'a free place' })
  await real.close()
})
