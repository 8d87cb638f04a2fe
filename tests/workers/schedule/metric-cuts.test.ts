// Cut points are worked out by the clock over everybody on every server, get a new version when they have moved, and
// rules over quantiles go by them from then on.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jobsInFlow } from '../../../cli/demo/counts.ts'
import { persist } from '../../../queues/pipeline.ts'
import { keepCuts, storeCuts } from '../../../store/metric-cuts.ts'
import { readMetric } from '../../../store/metrics.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { recomputeCuts } from '../../../workers/schedule/metric-cuts.ts'
import { schedulePool } from '../../../workers/schedule/pool.ts'
import { segmentPool } from '../../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../../support/api-server.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { NEVER, scheduleDeps } from '../../support/schedule-deps.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

let world: World
let api: ApiServer
const DAY = 86_400_000
const PEOPLE = 50
const event = 'Order Completed'
const SPENT = { k: 'agg', event, agg: 'sum', prop: 'revenue', window: { k: 'lifetime' } }

/** Person i spends i + 1 dollars. */
const order = (i: number, cents: number) => ({
  ...{
    userId: `p-${i}`,
    name: event,
    value: String(cents),
    currency: 'USD',
    time: Date.now() - (i + 1) * DAY,
  },
})
async function persisted(events: Parameters<typeof normalEvent>[0][]): Promise<void> {
  const count = async () => (await world.onAll((sql) => sql`select 1 from events`)).length
  const before = await count()
  await world.sender.send(persist, [normalBatch(events.map((one) => normalEvent(one)))])
  await waitFor(async () => (await count()) === before + events.length, { timeoutMs: 60_000 })
  await waitFor(async () => (await jobsInFlow(world.producer, world.config)) === 0, { timeoutMs: 60_000 })
}
const recompute = () => recomputeCuts(scheduleDeps(world, Date.now()), NEVER)
const cutsOf = async (metric: string) => (await api.get(`/api/v1/metrics/${metric}/cuts`)).body
const makeSegment = (slug: string, match: unknown) =>
  api.post('/api/v1/segments', { slug, name: slug, rule: { match } })
const top = { k: 'quantile', metric: 'spent', from: 0.8, to: 1 }

async function sizeOf(segment: string): Promise<number> {
  return (await api.get(`/api/v1/segments/${segment}/size`)).body.size
}

beforeAll(async () => {
  world = await testWorld({}, { servers: 2 })
  await world.sql`insert into sources (name) values ('shop')`
  await world.run(persistPool)
  await world.run(segmentPool)
  api = await startApi(world)
  await persisted([
    ...Array.from({ length: PEOPLE }, (_, i) => order(i, (i + 1) * 100)),
    ...Array.from({ length: 10 }, (_, i) => ({ userId: `looker-${i}`, name: 'Viewed' })),
  ])
  await api.post('/api/v1/metrics', { slug: 'spent', name: 'Spent', definition: SPENT })
}, 120_000)
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('a rule over a metric without cut points is refused, and so are cut points of a property', async () => {
  const refused = await makeSegment('too-early', top)
  expect([refused.status, refused.body.field, refused.body.detail]).toEqual([
    ...[422, 'rule.match.metric', expect.stringContaining('POST /api/v1/metrics/spent/cuts')],
  ])
  const definition = { k: 'pick', event, pick: 'last', prop: 'coupon', window: { k: 'lifetime' } }
  await api.post('/api/v1/metrics', { slug: 'coupon', name: 'Coupon', definition })
  expect((await api.post('/api/v1/metrics/coupon/cuts')).body.code).toBe('conflict')
  const property = await makeSegment('of-property', { ...top, metric: 'coupon' })
  expect(property.body.detail).toContain('has no quantiles')
  expect(await cutsOf('spent')).toEqual({ metric: 'spent', kept: false, cuts: null })
})

test('asked for, they are worked out by the schedule pool over all who have a value, on every server', async () => {
  const asked = await api.post('/api/v1/metrics/spent/cuts')
  expect([asked.status, asked.body]).toEqual([202, { metric: 'spent', kept: true, cuts: null }])
  const pool = await world.run(schedulePool)
  await waitFor(async () => (await cutsOf('spent')).cuts !== null, { timeoutMs: 60_000, what: 'cut points' })
  await pool.stop()
  const { cuts } = await cutsOf('spent')
  expect(cuts).toMatchObject({ version: 1, metricVersion: 1, people: PEOPLE })
  // Person 40 is the first of the last fifth.
  expect([cuts.points[19], cuts.points[39], cuts.points[79]]).toEqual(['11', '21', '41'])
  const servers = await world.onAll((sql) => sql`select count(*)::int as n from profiles`)
  for (const { n } of servers) expect(n).toBeGreaterThan(5)
}, 90_000)

test('a rule goes by them, and they stay while nobody moves', async () => {
  await makeSegment('top-fifth', top)
  await waitFor(async () => (await sizeOf('top-fifth')) === 10, { what: 'ten of fifty' })
  const preview = await api.post('/api/v1/segments/preview', {
    rule: { match: { ...top, from: 0.5, to: 0.8 } },
    budgetMs: 20_000,
  })
  expect(preview.body).toMatchObject({ members: 15, of: 60, complete: true })
  expect(await recompute()).toEqual({ metrics: 1, moved: 0, segments: 0 })
  expect((await cutsOf('spent')).cuts.version).toBe(1)
  const { body } = await api.get('/api/v1/users/p-44/segments/top-fifth/explanation')
  expect(body.conditions).toMatchObject([{ path: 'rule.match', k: 'quantile', holds: true, value: '4500' }])
})

test('when they have moved the segment has a new version, and everybody is evaluated again', async () => {
  // Who spent least spends most: of the last fifth all but these ten are out.
  await persisted(Array.from({ length: 10 }, (_, i) => order(i, 100_000)))
  await waitFor(async () => (await sizeOf('top-fifth')) === 20, { what: 'ten more by the old points' })
  expect(await recompute()).toEqual({ metrics: 1, moved: 1, segments: 1 })
  expect((await cutsOf('spent')).cuts).toMatchObject({ version: 2, people: PEOPLE })
  expect((await api.get('/api/v1/segments/top-fifth')).body.version).toBe(2)
  await waitFor(async () => (await sizeOf('top-fifth')) === 10, { what: 'ten by the new points' })
  const left = await world.onAll(
    (sql) => sql`
    select distinct reason, version from membership_changes where op = 'exit'`,
  )
  for (const row of left) expect(row).toEqual({ reason: 'rule_changed', version: 2 })
  const [version] = await world.sql`
    select v.author, v.note, v.plan #>> '{leaves,0,cuts}' as cuts from segment_versions v
    join segments s on s.segment_id = v.segment_id and s.live_version = v.version where s.slug = 'top-fifth'`
  expect(version).toEqual({ author: 'schedule', note: 'cut points 2 of the metric spent', cuts: '2' })
})

test('after another definition quantiles go by the one before until there are points of the new one', async () => {
  const counted = { k: 'agg', event, agg: 'count', window: { k: 'lifetime' } }
  const changed = await api.call('PUT', '/api/v1/metrics/spent/definition', { body: { definition: counted } })
  expect(changed.body).toMatchObject({ version: 2, segments: ['top-fifth'] })
  expect((await cutsOf('spent')).cuts).toMatchObject({ version: 2, metricVersion: 1 })
  await waitFor(async () => (await jobsInFlow(world.producer, world.config)) <= 1)
  expect(await sizeOf('top-fifth')).toBe(10)
  await recompute()
  expect((await cutsOf('spent')).cuts).toMatchObject({ version: 3, metricVersion: 2 })
  const property = { k: 'pick', event, pick: 'last', prop: 'coupon', window: { k: 'lifetime' } }
  const refused = await api.call('PUT', '/api/v1/metrics/spent/definition', {
    body: { definition: property },
  })
  expect([refused.status, refused.body.code]).toEqual([409, 'conflict'])
})

test('points of a metric that was changed meanwhile are not stored, and of nobody there are none', async () => {
  const before = await readMetric(world.sql, 'spent')
  if (before === undefined) throw new Error('no metric')
  await api.call('PUT', '/api/v1/metrics/spent/definition', { body: { definition: SPENT } })
  const points = Array.from({ length: 99 }, () => '1')
  expect(await storeCuts(world.sql, before, { asOf: new Date(), people: 1, points })).toBeUndefined()
  const empty = { ...SPENT, event: 'Never' }
  await api.post('/api/v1/metrics', { slug: 'empty', name: 'Empty', definition: empty })
  await keepCuts(world.sql, 'empty')
  await recompute()
  expect((await cutsOf('empty')).cuts).toBeNull()
  expect((await cutsOf('spent')).cuts).toMatchObject({ version: 4, metricVersion: 3 })
})
