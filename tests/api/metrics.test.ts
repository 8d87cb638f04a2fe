// Metrics through the API, on real servers and with the real pools: values of people, rules over them, what another
// definition does, what is refused; and some of CDNOW's customers with their published values.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jobsInFlow } from '../../cli/demo/counts.ts'
import { persist } from '../../queues/pipeline.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { segmentPool } from '../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { readSample } from '../support/cdnow.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let api: ApiServer
const DAY = 86_400_000
const NOW = Date.UTC(2026, 10, 20, 12)
const event = 'Order Completed'
const count = { k: 'agg', event, agg: 'count', window: { k: 'lifetime' } }
const spent = { k: 'agg', event, agg: 'sum', prop: 'revenue', window: { k: 'lifetime' } }

const make = (slug: string, definition: unknown) =>
  api.post('/api/v1/metrics', { slug, name: slug, definition })
const define = (slug: string, definition: unknown) =>
  api.call('PUT', `/api/v1/metrics/${slug}/definition`, { body: { definition } })
const makeSegment = (slug: string, match: unknown) =>
  api.post('/api/v1/segments', { slug, name: slug, rule: { match } })
const is = (metric: string, op: string, value: unknown) => ({ k: 'computed', metric, op, value })

async function membersOf(segment: string): Promise<string> {
  const { body } = await api.get(`/api/v1/segments/${segment}/members?limit=500`)
  return body.data
    .map((row: { userId: string }) => row.userId)
    .sort()
    .join()
}
const isSettled = (segment: string, ...users: string[]) =>
  waitFor(async () => (await membersOf(segment)) === users.join(), { what: `${users.join()} in ${segment}` })

async function valuesOf(user: string, at: string): Promise<Record<string, unknown>> {
  const { status, body } = await api.get(`/api/v1/users/${user}/metrics?at=${at}`)
  expect(status).toBe(200)
  return Object.fromEntries(
    body.data.map((one: { metric: string; value: unknown }) => [one.metric, one.value]),
  )
}

async function persisted(events: Parameters<typeof normalEvent>[0][]): Promise<void> {
  const before = (await world.onAll((sql) => sql`select 1 from events`)).length
  await world.sender.send(persist, [normalBatch(events.map((one) => normalEvent(one)))])
  const all = async () => (await world.onAll((sql) => sql`select 1 from events`)).length
  await waitFor(async () => (await all()) === before + events.length, {
    timeoutMs: 60_000,
    what: 'all events',
  })
  await waitFor(async () => (await jobsInFlow(world.producer, world.config)) === 0, { what: 'empty queues' })
}
const order = (userId: string, daysAgo: number, cents: number) => ({
  ...{ userId, name: event, time: NOW - daysAgo * DAY, value: String(cents), currency: 'USD' },
})

beforeAll(async () => {
  world = await testWorld({}, { servers: 2 })
  await world.sql`insert into sources (name) values ('shop')`
  await world.run(persistPool)
  await world.run(segmentPool)
  api = await startApi(world)
  // p-0 has no order, p-1 one of a dollar, p-2 two of two dollars …
  await persisted([
    { userId: 'p-0', name: 'Viewed', time: NOW },
    ...Array.from({ length: 6 }, (_, i) =>
      Array.from({ length: i + 1 }, (_, n) => order(`p-${i + 1}`, n + i, (i + 1) * 100)),
    ).flat(),
  ])
}, 60_000)
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('a metric is made, read and listed; a wrong one is refused with the path of its fault', async () => {
  const made = await make('orders', count)
  expect([made.status, made.body]).toEqual([
    201,
    expect.objectContaining({ slug: 'orders', version: 1, definition: count, archivedAt: null }),
  ])
  expect((await api.get('/api/v1/metrics/orders')).body).toEqual(made.body)
  expect((await make('orders', count)).body.code).toBe('conflict')
  const wrong = await make('wrong', { ...count, agg: 'cuont' })
  expect([wrong.status, wrong.body.code, wrong.body.field]).toEqual([422, 'invalid_rule', 'definition.agg'])
  await make('spent', spent)
  await make('recency', { k: 'time', event, pick: 'last' })
  const listed = (await api.get('/api/v1/metrics')).body.data
  expect(listed.map((one: { slug: string }) => one.slug)).toEqual(['orders', 'recency', 'spent'])
})

test('all values of a person are answered, now and at another instant, under both doors', async () => {
  expect(await valuesOf('p-3', new Date(NOW).toISOString())).toEqual({
    orders: '3',
    recency: '2',
    spent: '9',
  })
  const before = new Date(NOW - 3 * DAY).toISOString()
  expect(await valuesOf('p-3', before)).toEqual({ orders: '2', recency: '0', spent: '6' })
  expect(await valuesOf('p-0', before)).toEqual({ orders: '0', recency: null, spent: '0' })
  const rows = await world.sql<{ profile_id: number }[]>`
    select profile_id from identities where value = 'p-3'`
  const { body } = await api.get(`/api/v1/profiles/${rows[0]?.profile_id}/metrics`)
  expect(body.data[0]).toEqual({ metric: 'orders', version: 1, value: '3', events: 3 })
  expect((await api.get('/api/v1/users/nobody/metrics')).status).toBe(404)
  expect((await api.get('/api/v1/users/p-3/metrics?at=soon')).body.field).toBe('at')
})

test('rules compare metrics, people enter by them on every server, and the explanation says the value', async () => {
  await makeSegment('regulars', { k: 'all', of: [is('orders', 'gte', 4), is('spent', 'gt', '16.00')] })
  await isSettled('regulars', 'p-5', 'p-6')
  await persisted([order('p-4', 1, 1)])
  await isSettled('regulars', 'p-4', 'p-5', 'p-6')
  const { body } = await api.get('/api/v1/users/p-3/segments/regulars/explanation')
  expect(body.conditions).toMatchObject([
    { path: 'rule.match.of[0]', k: 'computed', holds: false, value: '3', missing: '1' },
    { path: 'rule.match.of[1]', k: 'computed', holds: false, value: '900', missing: '700' },
  ])
  const preview = await api.post('/api/v1/segments/preview', {
    rule: { match: is('orders', 'gte', 4) },
    budgetMs: 20_000,
  })
  expect(preview.body).toMatchObject({ members: 3, of: 7, complete: true })
})

test('a rule that names no metric, or compares it as it cannot be, is refused with its path', async () => {
  const refused = async (match: unknown) => {
    const answers = [
      await makeSegment('wrong', match),
      await api.post('/api/v1/segments/preview', { rule: { match } }),
    ]
    const [first, second] = answers.map(({ status, body }) => [status, body.code, body.field, body.detail])
    expect(first).toEqual(second)
    return first
  }
  expect(await refused({ k: 'not', of: is('order', 'gt', 1) })).toEqual([
    ...[422, 'invalid_rule', 'rule.match.of.metric'],
    'rule.match.of.metric names no metric: there is no "order"; did you mean "orders"?',
  ])
  expect(await refused({ k: 'all', of: [is('orders', 'startsWith', '1')] })).toEqual([
    ...[422, 'invalid_rule', 'rule.match.of[0].op', expect.stringContaining('expected one of gt')],
  ])
})

test('another definition gives every segment that names it a new version, and everybody is looked at again', async () => {
  const same = await define('orders', count)
  expect(same.body).toMatchObject({ version: 1, segments: [] })
  const lately = {
    ...count,
    window: { k: 'absolute', from: '2026-11-16T00:00:00Z', to: '2026-12-01T00:00:00Z' },
  }
  const changed = await define('orders', lately)
  expect(changed.body).toMatchObject({ version: 2, segments: ['regulars'] })
  await isSettled('regulars')
  expect((await api.get('/api/v1/segments/regulars')).body.version).toBe(2)
  const reasons = await world.onAll(
    (sql) => sql`
    select distinct reason, version from membership_changes where op = 'exit'`,
  )
  expect(reasons.map((row) => ({ ...row }))).toEqual(
    expect.arrayContaining([{ reason: 'rule_changed', version: 2 }]),
  )
  await define('orders', count)
  await isSettled('regulars', 'p-4', 'p-5', 'p-6')
  const [kept] = await world.sql<{ versions: number[]; plans: number[] }[]>`
    select array_agg(v.version order by v.version) as versions,
      array_agg((v.plan #>> '{leaves,0,version}')::int order by v.version) as plans
    from segment_versions v join segments s using (segment_id) where s.slug = 'regulars'`
  expect(kept).toEqual({ versions: [1, 2, 3], plans: [1, 2, 3] })
})

test('a definition that a rule cannot be compared with is refused, and a metric that a rule names is kept', async () => {
  const pick = await define('orders', {
    k: 'pick',
    event,
    pick: 'last',
    prop: 'coupon',
    window: { k: 'lifetime' },
  })
  expect(pick.status).toBe(200)
  expect((await define('orders', count)).status).toBe(200)
  await makeSegment('with-coupon', is('orders', 'eq', 1))
  await make('coupon', { k: 'pick', event, pick: 'last', prop: 'coupon', window: { k: 'lifetime' } })
  await makeSegment('spring', is('coupon', 'startsWith', 'SPRING'))
  const refused = await define('coupon', count)
  expect([refused.status, refused.body.code, refused.body.detail]).toEqual([
    ...[409, 'conflict', expect.stringContaining('the segment "spring" could not compare it any more')],
  ])
  const kept = await api.call('DELETE', '/api/v1/metrics/coupon')
  expect([kept.status, kept.body.code, kept.body.detail]).toEqual([
    ...[409, 'conflict', expect.stringContaining('"spring"')],
  ])
  await api.call('DELETE', '/api/v1/segments/spring')
  const gone = await api.call('DELETE', '/api/v1/metrics/coupon')
  expect([gone.status, typeof gone.body.archivedAt]).toEqual([200, 'string'])
  expect((await makeSegment('spring-2', is('coupon', 'exists', undefined))).body.code).toBe('invalid_rule')
  expect(Object.keys(await valuesOf('p-1', '2026-11-20T12:00:00Z'))).toEqual(['orders', 'recency', 'spent'])
  const back = await api.call('PUT', '/api/v1/segments/spring/rule', {
    body: { rule: { match: is('coupon', 'exists', undefined) } },
  })
  expect(back.body.code).toBe('invalid_rule')
  expect((await define('coupon', count)).body).toMatchObject({ version: 2, archivedAt: null })
  const { body } = await api.get('/api/v1/audit?limit=100')
  const ours = body.data.filter((row: { action: string }) => row.action.startsWith('metric.'))
  expect(ours[0]).toMatchObject({ action: 'metric.definition', details: { slug: 'coupon', version: 2 } })
})

test('a segment that comes while its metric goes either is refused or keeps it', async () => {
  await make('raced', count)
  const [segment, metric] = await Promise.all([
    makeSegment('racing', is('raced', 'gte', 1)),
    api.call('DELETE', '/api/v1/metrics/raced'),
  ])
  expect([
    [201, 409],
    [422, 200],
  ]).toContainEqual([segment.status, metric.status])
})

const sample = readSample()
test.skipIf(sample === undefined)(
  'some customers of CDNOW have their published frequency, recency and T, and are counted by rules',
  async () => {
    const some = (sample?.published ?? []).slice(0, 40)
    const names = new Set(some.map((one) => one.customer))
    const rows = (sample?.purchases ?? []).filter((one) => names.has(one.customer))
    await persisted(
      rows.map((row) => ({
        ...{ userId: `cdnow-${row.customer}`, name: event, time: Date.parse(row.date), currency: 'USD' },
        value: String(Math.round(Number(row.dollars) * 100)),
      })),
    )
    await make('order-days', { ...count, agg: 'days' })
    await make('active-days', { ...count, agg: 'span' })
    await make('tenure', { k: 'time', event, pick: 'first' })
    const found = []
    for (const { customer } of some) {
      const values = await valuesOf(`cdnow-${customer}`, '1997-09-30T00:00:00Z')
      const weeks = (metric: string) => Number((Number(values[metric]) / 7).toFixed(2))
      const frequency = Number(values['order-days']) - 1
      found.push({ customer, frequency, recency: weeks('active-days'), T: weeks('tenure') })
    }
    expect(found).toEqual(some)
    await makeSegment('cdnow-repeat', {
      k: 'all',
      of: [is('order-days', 'gte', 3), is('tenure', 'gt', 10_000)],
    })
    const plain = some.filter(
      ({ customer }) =>
        new Set(rows.filter((row) => row.customer === customer).map((row) => row.date)).size >= 3,
    )
    await isSettled('cdnow-repeat', ...plain.map(({ customer }) => `cdnow-${customer}`).sort())
    expect(plain.length).toBeGreaterThan(3)
  },
  120_000,
)
