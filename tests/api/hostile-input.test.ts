// Whatever is asked of the API, the answer is never a 5xx: odd ids, cursors that we did not make, odd bodies.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodeCursor } from '../../api/paging.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { seedPeople } from '../support/seed-people.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let api: ApiServer

beforeAll(async () => {
  world = await testWorld()
  await seedPeople(world)
  api = await startApi(world)
  const rule = { match: { k: 'trait', path: 'nothing', op: 'missing' } }
  await api.post('/api/v1/segments', { slug: 'everybody', name: 'Everybody', rule })
})
afterAll(async () => {
  await api.close()
  await world.close()
})

test.each([
  '/api/v1/users/%00',
  '/api/v1/users/%ED%A0%80',
  '/api/v1/users/%',
  `/api/v1/users/${'x'.repeat(400)}`,
  '/api/v1/users/..%2f..%2fetc',
  "/api/v1/users/'%20or%20'1'='1",
  '/api/v1/users?userId=%00',
  '/api/v1/users?limit=1e3',
  '/api/v1/users?limit=5&limit=6',
  '/api/v1/profiles/9007199254740992',
  '/api/v1/profiles/-1',
  '/api/v1/profiles/1e400',
  '/api/v1/profiles/NaN',
  '/api/v1/users/user-42/events?event=%00',
  '/api/v1/failed-events/99999999999999999999',
  '/api/v1/failed-events?stage=%00',
  '/api/v1/failed-events?stage[]=a',
  '/api/v1/segments/%00',
  '/api/v1/segments/99999999999999999999/members',
  '/api/v1/campaigns/99999999999999999999',
  '/api/v1/deliveries?state=%00',
  '/api/v1/deliveries?campaignId=1e99',
])('an odd address is a clear 4xx: %s', async (path) => {
  const { status, body } = await api.get(path)
  expect(status).toBeGreaterThanOrEqual(400)
  expect(status).toBeLessThan(500)
  expect(body.code).toBeTypeOf('string')
})

const LISTS = [
  '/api/v1/users',
  '/api/v1/sessions',
  '/api/v1/users/user-42/events',
  '/api/v1/users/user-42/sessions',
  '/api/v1/users/user-42/deliveries',
  '/api/v1/failed-events',
  '/api/v1/audit',
  '/api/v1/deliveries',
  '/api/v1/segments/everybody/members',
]
const KEY_MEMBERS = [
  'bucket',
  'profileId',
  'startedMs',
  'timeMs',
  'messageId',
  'startedBeforeMs',
  'createdMs',
  'createdMicros',
  'afterProfileId',
  'deliveryKey',
  'afterId',
  'beforeId',
]

test('a made-up cursor is an empty page or a 400, on every list', async () => {
  const value = fc.oneof(fc.double(), fc.maxSafeInteger(), fc.string({ unit: 'binary' }), fc.constant(null))
  const key = fc.record(Object.fromEntries(KEY_MEMBERS.map((name) => [name, value])), { requiredKeys: [] })
  await fc.assert(
    fc.asyncProperty(key, fc.constantFrom(...LISTS), async (made, path) => {
      const { status } = await api.get(`${path}?cursor=${encodeURIComponent(encodeCursor(made))}`)
      expect([200, 400]).toContain(status)
    }),
    { numRuns: 150 },
  )
})

test('any JSON sent to a POST is a 2xx or a 4xx', async () => {
  const paths = [
    '/api/v1/keys',
    '/api/v1/sources',
    '/api/v1/failed-events/replay',
    '/api/v1/segments',
    '/api/v1/segments/preview',
    '/api/v1/campaigns',
    '/api/v1/suppressions',
  ]
  const body = fc.oneof(
    fc.jsonValue(),
    fc.record(
      { kind: fc.constantFrom('pub', 'sec'), name: fc.string({ unit: 'binary' }), sourceId: fc.integer() },
      { requiredKeys: [] },
    ),
    fc.record({ rule: fc.object({ maxDepth: 3 }) }),
    fc.record({
      name: fc.string({ minLength: 1 }),
      segment: fc.constant('everybody'),
      channels: fc.tuple(
        fc.record({
          channel: fc.constant('email'),
          subject: fc.string(),
          body: fc.string(),
          html: fc.string(),
        }),
      ),
    }),
    fc.record({ channel: fc.constantFrom('email', 'push'), address: fc.string({ unit: 'binary' }) }),
    fc.record(
      {
        name: fc.string({ unit: 'binary' }),
        acceptEventsSince: fc.oneof(
          fc.string(),
          fc.date({ noInvalidDate: true }).map((d) => d.toISOString()),
        ),
      },
      { requiredKeys: ['name'] },
    ),
  )
  await fc.assert(
    fc.asyncProperty(body, fc.constantFrom(...paths), async (sent, path) => {
      const { status, text } = await api.post(path, sent)
      expect([path, status, status < 500 ? '' : text]).toEqual([path, status, ''])
    }),
    { numRuns: 400 },
  )
})

test('a body that is no JSON, too large or of another type is refused as such', async () => {
  const raw = (body: string, type: string) =>
    fetch(`${api.url}/api/v1/sources`, {
      method: 'POST',
      headers: { authorization: `Bearer ${api.key}`, 'content-type': type },
      body,
    })
  expect((await raw('{"name":', 'application/json')).status).toBe(400)
  expect((await raw('', 'application/json')).status).toBe(400)
  expect((await raw('{"__proto__":{"a":1},"name":"x"}', 'application/json')).status).toBe(400)
  expect((await raw('name=x', 'application/x-www-form-urlencoded')).status).toBe(415)
  expect((await raw(JSON.stringify({ name: 'x'.repeat(600_000) }), 'application/json')).status).toBe(413)
})
