// Rules on consent and messages, on real servers and with the real pools: who enters and leaves by a suppression, by the link
// in a message, by Segment's consent object, and by what was sent to whom.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jobsInFlow } from '../../cli/demo/counts.ts'
import { addressHash } from '../../domain/addresses.ts'
import { makeUnsubscribeToken } from '../../domain/unsubscribe.ts'
import { persist } from '../../queues/pipeline.ts'
import type { NormalEvent } from '../../schema/event.ts'
import { timerStatements } from '../../store/memberships.ts'
import { profileIdOfUser } from '../../store/profiles.ts'
import { inTransaction } from '../../store/sql.ts'
import { suppress } from '../../store/suppressions.ts'
import { wakeProfiles } from '../../store/wake.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { sweep } from '../../workers/schedule/sweep.ts'
import { tick } from '../../workers/schedule/timers.ts'
import { segmentPool } from '../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { NEVER, scheduleDeps } from '../support/schedule-deps.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

const SECRET = 'the secret of this deployment'
const NOW = Date.now()

let world: World
let api: ApiServer

beforeAll(async () => {
  world = await testWorld({ secret: SECRET }, { servers: 2 })
  await world.sql`insert into sources (name) values ('shop')`
  await world.run(persistPool)
  await world.run(segmentPool)
  api = await startApi(world)
  await add(
    ...Array.from({ length: 8 }, (_, i) => identified(`p-${i}`, { email: `p-${i}@x.example` })),
    // They share one address.
    identified('twin-1', { email: 'twins@x.example' }),
    identified('twin-2', { email: ' Twins@X.example' }),
  )
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

function identified(userId: string, traits: Record<string, unknown>, at = NOW - 60_000): NormalEvent {
  const properties = JSON.stringify(traits)
  return normalEvent({ userId, type: 'identify', name: '', time: at, receivedAt: at, traits, properties })
}

let added = 0
async function add(...events: NormalEvent[]) {
  added += events.length
  await world.sender.send(persist, [normalBatch(events)])
  await waitFor(async () => (await world.onAll((sql) => sql`select 1 from events`)).length === added)
  await isQuiet()
}

const isQuiet = () =>
  waitFor(async () => (await jobsInFlow(world.producer, world.config)) === 0, { what: 'empty queues' })
const make = (slug: string, match: unknown) =>
  api.post('/api/v1/segments', { slug, name: slug, rule: { match } })
async function membersOf(segment: string): Promise<string[]> {
  const { body } = await api.get(`/api/v1/segments/${segment}/members?limit=100`)
  return body.data.map((row: { userId: string }) => row.userId).sort()
}
const isSettled = (segment: string, ...users: string[]) =>
  waitFor(async () => (await membersOf(segment)).join() === users.join(), {
    what: `${users.join()} in ${segment}`,
  })
const numberOf = async (userId: string) => (await profileIdOfUser(world.sql, userId)) ?? 0
const timers = () =>
  world.onAll((sql) => sql<{ profile_id: number }[]>`select profile_id from segment_timers`)
/** What the clock does every second. */
const clockTicks = () => tick(scheduleDeps(world, Date.now() + 1000))
const hashOf = (address: string) => addressHash(SECRET, 'email', address)
async function reasonsOf(userId: string, segment: string): Promise<string[]> {
  const { body } = await api.get(`/api/v1/users/${userId}/segment-changes`)
  return body.data
    .filter((row: { segment: string }) => row.segment === segment)
    .map((row: { op: string; reason: string }) => `${row.op} ${row.reason}`)
}

test('while no rule asks, a suppression wakes nobody and leaves no trace', async () => {
  await api.post('/api/v1/suppressions', { channel: 'email', address: 'p-7@x.example' })
  expect(await world.sql`select 1 from suppression_changes`).toHaveLength(0)
  expect(await world.sql`select 1 from asked_addresses`).toHaveLength(0)
  expect(await timers()).toHaveLength(0)
  await api.post('/api/v1/suppressions/lift', { channel: 'email', address: 'p-7@x.example' })
})

test('an operator suppresses an address and lifts it: all who have it leave and enter at once', async () => {
  const everybody = (await api.get('/api/v1/users?limit=100')).body.data.map(
    (row: { userId: string }) => row.userId,
  )
  expect((await make('reachable', { k: 'consent', channel: 'email', state: 'subscribed' })).status).toBe(201)
  await make('out', { k: 'consent', channel: 'email', state: 'unsubscribed' })
  await make('barred', { k: 'consent', channel: 'email', state: 'suppressed' })
  await isSettled('reachable', ...everybody.sort())
  await isQuiet()
  // No clock runs here: the API names them itself.
  await api.post('/api/v1/suppressions', { channel: 'email', address: 'TWINS@x.example' })
  await isSettled('barred', 'twin-1', 'twin-2')
  expect(await membersOf('reachable')).not.toContain('twin-1')
  expect(await membersOf('out')).toEqual([])
  await api.post('/api/v1/suppressions/lift', { channel: 'email', address: 'twins@x.example' })
  await isSettled('barred')
  await isSettled('reachable', ...everybody.sort())
  expect(await reasonsOf('twin-1', 'barred')).toEqual(['exit event', 'enter event'])
})

test('the link in a message moves its person from the one segment to the other', async () => {
  const token = makeUnsubscribeToken(SECRET, {
    campaignId: 1,
    profileId: await numberOf('p-1'),
    channel: 'email',
  })
  await fetch(`${api.url}/api/v1/unsubscribe/${token}`, { method: 'POST' })
  await isSettled('out', 'p-1')
  const { body } = await api.get('/api/v1/users/p-1/segments/out/explanation')
  expect(body).toMatchObject({
    member: true,
    holds: true,
    conditions: [{ k: 'consent', value: 'unsubscribed' }],
  })
  const preview = await api.post('/api/v1/segments/preview', {
    rule: { match: { k: 'consent', channel: 'email', state: 'unsubscribed' } },
  })
  expect(preview.body).toMatchObject({ members: 1, complete: true })
  expect(await world.sql`select 1 from suppression_changes`).toHaveLength(0)
})

test('somebody who gets another address is what that one is, and a later change of it finds them', async () => {
  await add(identified('p-1', { email: 'new@x.example' }, NOW - 30_000))
  await isSettled('out')
  await api.post('/api/v1/suppressions', { channel: 'email', address: 'new@x.example' })
  await isSettled('barred', 'p-1')
  await api.post('/api/v1/suppressions/lift', { channel: 'email', address: 'new@x.example' })
  await isSettled('barred')
})

test('whoever dies between the suppression and the wake-up leaves a trace that the sweep and the clock follow', async () => {
  await isQuiet()
  await clockTicks()
  await isQuiet()
  await suppress(world.sql, { channel: 'email', addressHash: hashOf('p-2@x.example'), reason: 'bounced' })
  expect(await sweep(scheduleDeps(world, Date.now()), NEVER)).toMatchObject({ woken: 0 })
  await world.sql`update suppression_changes set changed_at = now() - interval '1 minute'`
  expect(await sweep(scheduleDeps(world, Date.now()), NEVER)).toMatchObject({ woken: 1 })
  expect(await world.sql`select 1 from suppression_changes`).toHaveLength(0)
  expect((await timers()).map((row) => row.profile_id)).toEqual([await numberOf('p-2')])
  expect(await membersOf('barred')).toEqual([])
  await clockTicks()
  await isSettled('barred', 'p-2')
  expect(await reasonsOf('p-2', 'barred')).toEqual(['enter event'])
  await waitFor(async () => (await timers()).length === 0, { what: 'no timer left' })
})

test('a pass that began before somebody was woken cannot put the wake-up off', async () => {
  const profileId = await numberOf('p-3')
  const pass = (wakeAtMs: number | null) =>
    inTransaction(world.servers.of(profileId), (tx) =>
      Promise.all(timerStatements(tx, [{ profileId, wakeAtMs }])),
    )
  await pass(NOW + 3_600_000)
  await wakeProfiles(world.servers, [profileId])
  await pass(NOW + 7_200_000)
  await pass(null)
  expect(await clockTicks()).toMatchObject({ due: 1 })
  await waitFor(async () => (await timers()).length === 0, { what: 'no timer left' })
})

test('suppressions that come and go while people are evaluated leave everybody where the last one puts them', async () => {
  const users = Array.from({ length: 8 }, (_, i) => `p-${i}`).filter((user) => user !== 'p-1')
  const toggled = async (user: string, n: number) => {
    for (let i = 0; i <= n; i++) {
      const path = i % 2 === 0 ? '/api/v1/suppressions' : '/api/v1/suppressions/lift'
      await api.post(path, { channel: 'email', address: `${user}@x.example` })
    }
  }
  await Promise.all([
    ...users.map((user, i) => toggled(user, 3 + i)),
    add(...users.map((user) => identified(user, { email: `${user}@x.example` }, NOW - 20_000))),
  ])
  const rows = await world.sql<
    { hash: string }[]
  >`select encode(address_hash, 'hex') as hash from suppressions`
  const hashes = new Set(rows.map((row) => row.hash))
  const barred = users.filter((user) => hashes.has(hashOf(`${user}@x.example`).toString('hex')))
  expect(barred.length).toBeGreaterThan(2)
  await isSettled('barred', ...barred)
})

test('consent is what the newest consent event or identify call says of the category', async () => {
  const said = (userId: string, at: number, name: string, categoryPreferences: unknown) =>
    normalEvent({
      userId,
      type: name === '' ? 'identify' : 'track',
      name,
      time: at,
      receivedAt: at,
      envelope: JSON.stringify({ context: { consent: { categoryPreferences } } }),
    })
  const updated = 'Segment Consent Preference Updated'
  await make('ads', { k: 'consent', category: 'Advertising', state: 'granted' })
  await make('no-ads', { k: 'consent', category: 'Advertising', state: 'denied' })
  await add(
    said('p-1', NOW - 9_000, updated, { Advertising: true }),
    said('p-2', NOW - 9_000, '', { Advertising: false }),
    said('p-3', NOW - 9_000, 'Viewed', { Advertising: true }),
  )
  await isSettled('ads', 'p-1')
  await isSettled('no-ads', 'p-2')
  await add(
    said('p-1', NOW - 8_000, updated, { Advertising: false }),
    // Older than what is known: it changes nothing.
    said('p-2', NOW - 10_000, updated, { Advertising: true }),
  )
  await isSettled('no-ads', 'p-1', 'p-2')
  expect(await membersOf('ads')).toEqual([])
  const { body } = await api.get('/api/v1/users/p-1/segments/ads/explanation')
  expect(body.conditions).toMatchObject([{ k: 'consent', value: 'denied', holds: false }])
})

test('a rule on a campaign that is not there is refused with the one that was perhaps meant', async () => {
  await world.sql`insert into campaigns (name, segment_id) select 'Win back', segment_id from segments where slug = 'out'`
  const window = { k: 'rolling', last: 'P7D' }
  const sent = (campaign: string, did = 'sent') => ({
    k: 'any',
    of: [{ k: 'message', did, campaign, window, op: 'gte', value: 1 }],
  })
  const refused = await make('wrong', sent('Win bak'))
  expect([refused.status, refused.body.code, refused.body.field]).toEqual([
    ...[422, 'invalid_rule', 'rule.match.of[0].campaign'],
  ])
  expect(refused.body.detail).toContain('did you mean "Win back"?')
  expect((await make('others', sent('Of another tool', 'opened'))).status).toBe(201)
  expect((await make('won-back', sent('Win back'))).status).toBe(201)
})

/** As the deliver pool leaves it. */
async function sentTo(profileId: number, agoMs: number, key: string) {
  await world.servers.of(profileId)`
    insert into deliveries (bucket, delivery_key, channel, campaign_id, profile_id, change_id, state, sent_at)
    values (${profileId & 1023}, ${`${key}-email`}, 'email', 1, ${profileId}, 1, 'sent', ${new Date(Date.now() - agoMs)})`
  await wakeProfiles(world.servers, [profileId])
  await clockTicks()
}

test('what was sent to somebody before a merge was sent to them, on whichever server it is kept', async () => {
  await add(
    ...Array.from({ length: 6 }, (_, i) => normalEvent({ anonymousId: `anon-${i}`, time: NOW - 5_000 })),
  )
  const rows = await world.sql<{ profile_id: number }[]>`
    select profile_id from identities where kind = 1 order by value`
  const anonymous = rows.map((row) => row.profile_id)
  for (const [i, profileId] of anonymous.entries()) await sentTo(profileId, 60_000, `c1-s${i}`)
  await waitFor(async () => (await membersOf('won-back')).length === 6, { what: 'all six in the segment' })
  await add(
    ...anonymous.map((_, i) =>
      normalEvent({ anonymousId: `anon-${i}`, userId: `p-${i}`, type: 'identify', name: '', time: NOW }),
    ),
  )
  await isSettled('won-back', 'p-0', 'p-1', 'p-2', 'p-3', 'p-4', 'p-5')
  const servers = new Set(anonymous.map((profileId) => world.servers.of(profileId)))
  expect(servers.size).toBe(2)
  const { body } = await api.get('/api/v1/users/p-0/segments/won-back/explanation')
  expect(body.conditions).toMatchObject([{ k: 'message', value: '1', events: 1, missing: null }])
  const left = Date.parse(body.changesAt) - Date.now()
  expect(Math.abs(left - (7 * 86_400_000 - 60_000))).toBeLessThan(60_000)
})

test('once no live rule asks for addresses they are forgotten', async () => {
  expect((await world.sql`select 1 from asked_addresses`).length).toBeGreaterThan(5)
  await sweep(scheduleDeps(world, Date.now()), NEVER)
  expect((await world.sql`select 1 from asked_addresses`).length).toBeGreaterThan(5)
  for (const slug of ['reachable', 'out', 'barred', 'ads', 'no-ads', 'won-back'])
    await api.call('DELETE', `/api/v1/segments/${slug}`)
  await isQuiet()
  await sweep(scheduleDeps(world, Date.now()), NEVER)
  expect(await world.sql`select 1 from asked_addresses`).toHaveLength(0)
})
