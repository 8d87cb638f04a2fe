// Users, profiles, sessions and their history as an app developer reads them.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { persist } from '../../queues/pipeline.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { DAY, seedPeople } from '../support/seed-people.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let api: ApiServer

beforeAll(async () => {
  world = await testWorld()
  const crowd = Array.from({ length: 25 }, (_, i) =>
    normalEvent({ userId: `crowd-${i}`, time: DAY + i * 1000 }),
  )
  await seedPeople(world, crowd)
  api = await startApi(world)
})
afterAll(async () => {
  await api.close()
  await world.close()
})

test('a user is read with traits, both ids and counts after an anonymous start', async () => {
  const { status, body } = await api.get('/api/v1/users/user-42')
  expect(status).toBe(200)
  expect(body).toMatchObject({
    userId: 'user-42',
    traits: { plan: 'gold' },
    firstSeen: new Date(DAY).toISOString(),
    lastSeen: new Date(DAY + 120 * 60_000).toISOString(),
    counts: { events: 4, sessions: 2, identities: 2, segments: 0, deliveries: 0 },
  })
  expect(body.identities.map((id: { kind: string; value: string }) => `${id.kind} ${id.value}`)).toEqual([
    'user user-42',
    'anonymous anon-1',
  ])
})

test('the number of a profile that was merged away leads to the one that remained', async () => {
  await seedMerge()
  const [loser] = await world.sql<{ profile_id: number }[]>`
    select profile_id from profiles where merged_into is not null limit 1`
  const { status, body } = await api.get(`/api/v1/profiles/${loser?.profile_id}`)
  expect(status).toBe(200)
  expect(body.profileId).not.toBe(loser?.profile_id)
})

test('an anonymous profile has the same shape as a user, with a null userId', async () => {
  const all = await api.get('/api/v1/users?kind=all&limit=500')
  const anonymous = all.body.data.find((row: { userId: string | null }) => row.userId === null)
  const { body } = await api.get(`/api/v1/profiles/${anonymous.profileId}`)
  expect(body).toMatchObject({ userId: null, identities: [{ kind: 'anonymous', value: 'anon-2' }] })
})

test('pages of users show each user once, whatever the page size', async () => {
  const seen: string[] = []
  let cursor = ''
  do {
    const { body } = await api.get(`/api/v1/users?limit=7${cursor}`)
    seen.push(...body.data.map((row: { userId: string }) => row.userId))
    cursor = body.nextCursor === null ? '' : `&cursor=${body.nextCursor}`
  } while (cursor !== '')
  expect(seen.length).toBe(new Set(seen).size)
  expect(seen.filter((id) => id.startsWith('crowd-')).length).toBe(25)
})

test('one user can be looked up by exact id, and an unknown one is an empty page', async () => {
  expect((await api.get('/api/v1/users?userId=user-7')).body.data).toHaveLength(1)
  expect((await api.get('/api/v1/users?userId=nobody')).body).toEqual({ data: [], nextCursor: null })
})

test('events of a user come newest first, page by page, and can be narrowed to one name', async () => {
  const first = await api.get('/api/v1/users/user-42/events?limit=3')
  const second = await api.get(`/api/v1/users/user-42/events?limit=3&cursor=${first.body.nextCursor}`)
  const names = [...first.body.data, ...second.body.data].map((e) => `${e.type} ${e.event}`)
  expect(names).toEqual(['track Order Completed', 'identify ', 'track Product Viewed', 'page Home'])
  expect(second.body.nextCursor).toBeNull()
  expect(first.body.data[0]).toMatchObject({ messageId: 'm-order-1', value: 4990, currency: 'USD' })
  const orders = await api.get('/api/v1/users/user-42/events?event=Order%20Completed')
  expect(orders.body.data).toHaveLength(1)
})

test('sessions of a user come newest first, with their number of events', async () => {
  const { body } = await api.get('/api/v1/users/user-42/sessions')
  expect(body.data.map((s: { events: number }) => s.events)).toEqual([1, 3])
})

test('all sessions can be paged through and narrowed to open ones', async () => {
  const all = await api.get('/api/v1/sessions?limit=500')
  expect(all.body.data.length).toBeGreaterThanOrEqual(29)
  const [one] = all.body.data
  await world.sql`update sessions set closed_at = now() where profile_id = ${one.profileId}`
  const open = await api.get('/api/v1/sessions?state=open&limit=500')
  expect(open.body.data.some((s: { profileId: number }) => s.profileId === one.profileId)).toBe(false)
  const paged = await api.get('/api/v1/sessions?limit=5')
  const next = await api.get(`/api/v1/sessions?limit=5&cursor=${paged.body.nextCursor}`)
  expect(next.body.data[0].profileId).toBe(all.body.data[5].profileId)
})

test('segments and deliveries of a user are read with their names and states', async () => {
  const { body: profile } = await api.get('/api/v1/users/user-42')
  await seedMembership(profile.profileId)
  const segments = await api.get('/api/v1/users/user-42/segments?details=true')
  expect(segments.body.data).toMatchObject([{ slug: 'big-spenders', name: 'Big spenders', version: 1 }])
  const first = await api.get('/api/v1/users/user-42/deliveries?limit=1')
  const second = await api.get(`/api/v1/users/user-42/deliveries?limit=1&cursor=${first.body.nextCursor}`)
  expect([first.body.data[0].channel, second.body.data[0].channel].sort()).toEqual(['email', 'push'])
})

test('an unknown user is a 404 problem', async () => {
  const { status, body, headers } = await api.get('/api/v1/users/nobody')
  expect(status).toBe(404)
  expect(headers.get('content-type')).toContain('application/problem+json')
  expect(body).toMatchObject({ code: 'not_found', field: 'userId' })
})

test.each([
  ['/api/v1/users?limit=0', 'limit'],
  ['/api/v1/users?limit=many', 'limit'],
  ['/api/v1/users?cursor=rubbish', 'cursor'],
  ['/api/v1/users?cursor=eyJhIjoxfQ', 'cursor'],
  ['/api/v1/users?kind=strange', 'kind'],
  ['/api/v1/users?colour=blue', 'colour'],
  ['/api/v1/profiles/abc', 'profileId'],
])('a wrong parameter is named: %s', async (path, field) => {
  const { status, body } = await api.get(path)
  expect(status).toBe(400)
  expect(body.code).toBe('invalid_request')
  expect(body.field).toBe(field)
})

/** A user and an anonymous profile that turn out to be one person. */
async function seedMerge() {
  const pool = await world.run(persistPool)
  const mine = [
    normalEvent({ userId: 'merged', time: DAY }),
    normalEvent({ anonymousId: 'merged-too', time: DAY + 1 }),
    normalEvent({ type: 'identify', name: '', userId: 'merged', anonymousId: 'merged-too', time: DAY + 2 }),
  ]
  for (const event of mine) {
    await world.sender.send(persist, [normalBatch([event])])
    await waitFor(async () => {
      const rows = await world.sql`select 1 from events where message_id = ${event.messageId}`
      return rows.length === 1
    })
  }
  await pool.stop()
}

async function seedMembership(profileId: number) {
  const { sql } = world
  const bucket = profileId % 1024
  const rule = { match: { k: 'sample', salt: 'all', from: 0, to: 9999 } }
  await api.post('/api/v1/segments', { slug: 'big-spenders', name: 'Big spenders', rule })
  await sql`
    insert into memberships (bucket, segment_id, profile_id, entered_at, version, change_id)
    select ${bucket}, segment_id, ${profileId}, now(), 1, 1 from segments`
  for (const channel of ['email', 'push']) {
    await sql`
      insert into deliveries (bucket, delivery_key, channel, campaign_id, profile_id, change_id, state)
      values (${bucket}, ${`c1-s1-${channel}`}, ${channel}, 1, ${profileId}, 1, 'sent')`
  }
}
