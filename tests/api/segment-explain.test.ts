// Why somebody is in a segment or not, through the API, on people that persist has written.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { persist } from '../../queues/pipeline.ts'
import { manualClock } from '../../runtime/clock.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { segmentPool } from '../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

const DAY = 86_400_000
const NOW = Date.UTC(2026, 10, 29, 12)
const iso = (ms: number) => new Date(ms).toISOString()
let world: World
let api: ApiServer

const order = (userId: string, days: number, value: string) =>
  normalEvent({ userId, name: 'Order Completed', value, currency: 'USD', time: NOW - days * DAY })
const orders = (rest: object) => ({
  k: 'agg',
  event: 'Order Completed',
  window: { k: 'rolling', last: 'P30D' },
  ...rest,
})
const RULE = {
  match: {
    k: 'all',
    of: [
      orders({ agg: 'sum', prop: 'revenue', op: 'gt', value: 100 }),
      orders({ agg: 'count', op: 'gte', value: 3 }),
      { k: 'not', of: { k: 'trait', path: 'plan', op: 'eq', value: 'gold' } },
    ],
  },
}

beforeAll(async () => {
  world = await testWorld()
  const clock = manualClock(NOW)
  await world.sql`insert into sources (name) values ('shop')`
  await world.run(persistPool)
  await world.run(segmentPool, { clock })
  api = await startApi(world, { clock })
  await api.post('/api/v1/segments', { slug: 'spenders', name: 'Spenders', rule: RULE })
  const anna = [3, 5, 9].map((days) => order('anna', days, '5000'))
  const bert = [1, 40].map((days) => order('bert', days, '9000'))
  const gold = normalEvent({
    userId: 'bert',
    type: 'identify',
    name: '',
    time: NOW - 50 * DAY,
    traits: { plan: 'gold' },
  })
  await world.sender.send(persist, [normalBatch([...anna, ...bert, gold])])
  await waitFor(async () => (await api.get('/api/v1/segments/spenders/size')).body.size === 1, {
    what: 'a member',
  })
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('a member is told what holds, which events count, and when it ends', async () => {
  const { body } = await api.get('/api/v1/users/anna/segments/spenders/explanation')
  expect(body).toMatchObject({ segment: 'spenders', version: 1, asOf: iso(NOW), member: true, holds: true })
  // Three orders, the oldest of nine days: it takes the third with it.
  expect(body.changesAt).toBe(iso(NOW + 21 * DAY))
  expect(body.groups).toEqual([
    { path: 'rule.match', k: 'all', holds: true, changesAt: iso(NOW + 21 * DAY) },
    { path: 'rule.match.of[2]', k: 'not', holds: true, changesAt: null },
  ])
  const times = [3, 5, 9].map((days) => iso(NOW - days * DAY))
  expect(body.conditions).toEqual([
    {
      ...{ path: 'rule.match.of[0]', k: 'agg', holds: true, changesAt: iso(NOW + 21 * DAY) },
      ...{ value: '15000', missing: null, events: 3, newest: times },
      words:
        'sum of revenue of "Order Completed" in the last 30 days is 150.00 USD; wanted more than 100.00 USD',
    },
    {
      ...{ path: 'rule.match.of[1]', k: 'agg', holds: true, changesAt: iso(NOW + 21 * DAY) },
      ...{ value: '3', missing: null, events: 3, newest: times },
      words: 'count of "Order Completed" in the last 30 days is 3; wanted at least 3',
    },
    {
      ...{ path: 'rule.match.of[2].of', k: 'trait', holds: false, changesAt: null },
      ...{ value: null, missing: null, events: 0, newest: [] },
      words: 'plan is missing; wanted exactly "gold"',
    },
  ])
})

test('who is not in it is told what is missing, and what stands in the way', async () => {
  const { body } = await api.get('/api/v1/users/bert/segments/spenders/explanation')
  expect(body).toMatchObject({ member: false, holds: false, changesAt: null })
  expect(body.conditions).toMatchObject([
    { holds: false, value: '9000', missing: '1000', events: 1, newest: [iso(NOW - DAY)] },
    { holds: false, value: '1', missing: '2' },
    { path: 'rule.match.of[2].of', holds: true, value: 'gold' },
  ])
})

test('of another instant it says what was and what will be, by what is known today', async () => {
  const at = async (ms: number) =>
    (await api.get(`/api/v1/users/anna/segments/spenders/explanation?at=${iso(ms)}`)).body
  expect(await at(NOW - 4 * DAY)).toMatchObject({ holds: false, changesAt: iso(NOW - 3 * DAY) })
  expect(await at(NOW + 21 * DAY - 1)).toMatchObject({ member: true, holds: true })
  expect(await at(NOW + 21 * DAY)).toMatchObject({ member: true, holds: false, changesAt: null })
  const wrong = await api.get('/api/v1/users/anna/segments/spenders/explanation?at=tomorrow')
  expect([wrong.status, wrong.body.field]).toEqual([400, 'at'])
})

test('every entry and exit is told with its reason, its version and when', async () => {
  const knownBefore = new Date().toISOString()
  const { body } = await api.get('/api/v1/users/anna/segment-changes')
  expect(body.data).toMatchObject([{ segment: 'spenders', version: 1, op: 'enter', reason: 'event' }])
  expect(body.nextCursor).toBeNull()
  await api.call('PUT', '/api/v1/segments/spenders/rule', {
    body: { rule: { match: orders({ agg: 'count', op: 'gt', value: 3 }) } },
  })
  await waitFor(async () => (await api.get('/api/v1/segments/spenders/size')).body.size === 0, {
    what: 'an exit',
  })
  const first = (await api.get('/api/v1/users/anna/segment-changes?limit=1')).body
  expect(first.data).toMatchObject([{ version: 2, op: 'exit', reason: 'rule_changed' }])
  const second = (await api.get(`/api/v1/users/anna/segment-changes?limit=1&cursor=${first.nextCursor}`)).body
  expect(second.data).toEqual(body.data)
  const membersAt = async (at: string) =>
    (await api.get(`/api/v1/segments/spenders/members?knownAt=${encodeURIComponent(at)}`)).body.data
  expect(await membersAt(knownBefore)).toMatchObject([
    { userId: 'anna', enteredAt: body.data[0].effectiveAt },
  ])
  expect(await membersAt(new Date().toISOString())).toEqual([])
  expect(await membersAt('2026-01-01T00:00:00Z')).toEqual([])
})

test('since when somebody is what they are is told with what is wanted, and when it will be enough', async () => {
  const plan = { k: 'dwell', path: 'plan', value: 'gold', for: 'P60D' }
  await api.post('/api/v1/segments', { slug: 'loyal', name: 'Loyal', rule: { match: plan } })
  const { body } = await api.get('/api/v1/users/bert/segments/loyal/explanation')
  const since = iso(NOW - 50 * DAY)
  expect(body.conditions).toMatchObject([
    { k: 'dwell', holds: false, changesAt: iso(NOW + 10 * DAY), value: 'gold' },
  ])
  expect(body.conditions[0].words).toBe(`plan is "gold" since ${since}; wanted "gold" for P60D`)
})

test('nobody and nothing is explained only where there is somebody and something', async () => {
  const nobody = await api.get('/api/v1/users/nobody/segments/spenders/explanation')
  expect([nobody.status, nobody.body.field]).toEqual([404, 'userId'])
  const nothing = await api.get('/api/v1/users/anna/segments/nothing/explanation')
  expect([nothing.status, nothing.body.code]).toEqual([404, 'not_found'])
  await api.call('DELETE', '/api/v1/segments/spenders')
  const archived = await api.get('/api/v1/users/anna/segments/spenders/explanation')
  expect([archived.status, archived.body.field]).toEqual([404, 'segment'])
})
