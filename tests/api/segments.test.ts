// Segments through the API, evaluated by the real segment pool: who was there before a rule came is found by the backfill.
import { Compile } from 'typebox/schema'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jobsInFlow } from '../../cli/demo/counts.ts'
import { connectProducer, whenReady } from '../../queues/connection.ts'
import { createSender } from '../../queues/sender.ts'
import { sweep } from '../../workers/schedule/sweep.ts'
import { segmentPool } from '../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { normalEvent } from '../support/factory.ts'
import { NEVER, scheduleDeps } from '../support/schedule-deps.ts'
import { DAY, seedPeople } from '../support/seed-people.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let api: ApiServer

const viewed = (value: number) => ({
  match: { k: 'agg', event: 'Viewed', agg: 'count', window: { k: 'lifetime' }, op: 'gte', value },
})
const sizeOf = async (segment: string) => (await api.get(`/api/v1/segments/${segment}/size`)).body.size
const isSettled = async (segment: string, size: number) =>
  waitFor(async () => (await sizeOf(segment)) === size, { what: `${size} members of ${segment}` })
const isLive = async (segment: string) =>
  waitFor(async () => (await api.get(`/api/v1/segments/${segment}`)).body.state === 'live')

beforeAll(async () => {
  world = await testWorld()
  // crowd-0 views once, crowd-1 twice, … crowd-24 25 times.
  const crowd = Array.from({ length: 25 }, (_, i) =>
    Array.from({ length: i + 1 }, (_, n) =>
      normalEvent({ userId: `crowd-${i}`, name: 'Viewed', time: DAY + n * 1000 }),
    ),
  )
  const rated = [3, 4].map((n) =>
    normalEvent({ userId: 'crowd-0', name: 'Rated', properties: `{"value":${n}}`, time: DAY + n }),
  )
  await seedPeople(world, [...crowd.flat(), ...rated])
  await world.run(segmentPool)
  // Else those who were named before there was a segment could enter it for their events.
  await waitFor(async () => (await jobsInFlow(world.producer, world.config)) === 0, { what: 'empty queues' })
  api = await startApi(world)
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('whoever fits a new rule already is found, without a campaign’s reason', async () => {
  const made = await api.post('/api/v1/segments', { slug: 'viewers', name: 'Viewers', rule: viewed(6) })
  expect(made.status).toBe(201)
  expect(made.body).toMatchObject({ slug: 'viewers', version: 1, state: 'building', archivedAt: null })
  expect(made.body.run).toMatchObject({ reason: 'backfill', people: 'everybody', state: 'running' })
  await isSettled('viewers', 20)
  await isLive('viewers')
  const [all] = await world.sql`select count(*)::int as count from profiles where merged_into is null`
  const { data } = (await api.get('/api/v1/segments/viewers/runs')).body
  expect(data).toMatchObject([{ state: 'done', share: 1, evaluated: all?.count, entered: 20, exited: 0 }])
  const reasons = await world.sql`select distinct op, reason from membership_changes`
  expect([...reasons]).toEqual([{ op: 'enter', reason: 'backfill' }])
})

test('a preview counts who would be in, and stores nothing', async () => {
  const before = await world.sql`select count(*)::int as count from membership_changes`
  const { status, body } = await api.post('/api/v1/segments/preview', { rule: viewed(6) })
  expect(status).toBe(200)
  const [all] = await world.sql`select count(*)::int as count from profiles where merged_into is null`
  expect(body).toMatchObject({ members: 20, of: all?.count, complete: true })
  expect(body.estimate).toEqual({ members: 20, low: 20, high: 20 })
  const gold = { match: { k: 'trait', path: 'plan', op: 'eq', value: 'gold' } }
  expect((await api.post('/api/v1/segments/preview', { rule: gold })).body.members).toBe(1)
  expect(await world.sql`select count(*)::int as count from membership_changes`).toEqual(before)
})

test('a property named value is summed as any other, revenue from its own column', async () => {
  const sum = (event: string, prop: string, value: number) => ({
    match: { k: 'agg', event, agg: 'sum', prop, window: { k: 'lifetime' }, op: 'eq', value },
  })
  const members = async (rule: unknown) => (await api.post('/api/v1/segments/preview', { rule })).body.members
  expect(await members(sum('Rated', 'value', 7))).toBe(1)
  expect(await members(sum('Order Completed', 'revenue', 49.9))).toBe(1)
})

test('a rule may look at more properties than a function takes arguments, and at one called constructor', async () => {
  const viewedWith = (prop: string) => ({
    ...viewed(1).match,
    where: [{ prop, op: 'exists' }],
  })
  const many = Array.from({ length: 50 }, (_, leaf) => ({
    ...viewed(1).match,
    where: Array.from({ length: 3 }, (_, n) => ({ prop: `p${leaf}-${n}`, op: 'missing' })),
  }))
  const members = async (match: unknown) =>
    (await api.post('/api/v1/segments/preview', { rule: { match }, budgetMs: 20_000 })).body.members
  expect(await members({ k: 'all', of: many })).toBe(25)
  expect(await members(viewedWith('constructor'))).toBe(0)
})

test('of many previews at once some wait and the rest is told to come back', async () => {
  const answers = await Promise.all(
    Array.from({ length: 12 }, () =>
      api.post('/api/v1/segments/preview', { rule: viewed(6), budgetMs: 20_000 }),
    ),
  )
  for (const { status, body, headers } of answers) {
    if (status === 200) expect(body.members).toBe(20)
    else expect([status, headers.get('retry-after')]).toEqual([429, '5'])
  }
  expect(answers.filter((one) => one.status === 200).length).toBeGreaterThanOrEqual(5)
})

test('members come in pages that show each once', async () => {
  const seen: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const after: string = cursor === '' ? '' : `&cursor=${cursor}`
    const { status, body } = await api.get(`/api/v1/segments/viewers/members?limit=7${after}`)
    expect(status).toBe(200)
    seen.push(...body.data.map((row: { userId: string }) => row.userId))
    cursor = body.nextCursor
  }
  expect(seen.toSorted()).toEqual(Array.from({ length: 20 }, (_, i) => `crowd-${i + 5}`).toSorted())
})

test('all members come as one CSV file', async () => {
  const { status, headers, text } = await api.get('/api/v1/segments/viewers/members.csv')
  expect([status, headers.get('content-type')]).toEqual([200, 'text/csv; charset=utf-8'])
  expect(headers.get('content-disposition')).toBe('attachment; filename="viewers.csv"')
  const [head, ...lines] = text.trimEnd().split('\r\n')
  expect(head).toBe('profile_id,user_id,entered_at')
  const users = lines.map((line) => /^\d+,"([^"]+)",\d{4}-\d\d-\d\dT[\d:.]+Z$/.exec(line)?.[1])
  expect(users.toSorted()).toEqual(Array.from({ length: 20 }, (_, i) => `crowd-${i + 5}`).toSorted())
  expect((await api.get('/api/v1/segments/none/members.csv')).status).toBe(404)
})

test('another rule is another version, and members follow it', async () => {
  const changed = await api.call('PUT', '/api/v1/segments/viewers/rule', { body: { rule: viewed(11) } })
  expect([changed.status, changed.body.version]).toEqual([200, 2])
  await isSettled('viewers', 15)
  const same = await api.call('PUT', '/api/v1/segments/viewers/rule', { body: { rule: viewed(11) } })
  expect([same.status, same.body.version]).toEqual([200, 2])
  await isLive('viewers')
  expect((await api.get('/api/v1/segments/viewers/runs')).body.data).toHaveLength(2)
  const exits = await world.sql`select distinct reason, version from membership_changes where op = 'exit'`
  expect([...exits]).toEqual([{ reason: 'rule_changed', version: 2 }])
})

test('an archived segment is left by everybody, and comes back with a rule', async () => {
  const archived = await api.call('DELETE', '/api/v1/segments/viewers')
  expect(archived.status).toBe(200)
  expect(archived.body.archivedAt).toEqual(expect.any(String))
  await isSettled('viewers', 0)
  await waitFor(async () => (await api.get('/api/v1/segments/viewers')).body.run === null)
  expect((await api.get('/api/v1/segments')).body.data).toEqual([])
  const again = await api.call('DELETE', '/api/v1/segments/viewers')
  expect([again.status, again.body.state, again.body.run]).toEqual([200, 'retired', null])
  const back = await api.call('PUT', '/api/v1/segments/viewers/rule', { body: { rule: viewed(11) } })
  expect([back.body.version, back.body.archivedAt]).toEqual([3, null])
  await isSettled('viewers', 15)
})

test('a slug is taken once, and a segment is found by slug and by number', async () => {
  const taken = await api.post('/api/v1/segments', { slug: 'viewers', name: 'Other', rule: viewed(1) })
  expect([taken.status, taken.body.code, taken.body.field]).toEqual([409, 'conflict', 'slug'])
  await isLive('viewers')
  const bySlug = await api.get('/api/v1/segments/viewers')
  const byNumber = await api.get(`/api/v1/segments/${bySlug.body.segmentId}`)
  expect(byNumber.body).toEqual(bySlug.body)
  expect((await api.get('/api/v1/segments/none')).status).toBe(404)
})

test('the schema of a rule is published, and a rule that is taken fits it', async () => {
  const { body } = await api.get('/api/v1/rule-schema')
  expect(body).toMatchObject({ $schema: expect.stringContaining('2020-12'), title: 'Segment rule' })
  const schema = Compile(body)
  expect(schema.Check(viewed(3))).toBe(true)
  expect(schema.Check({ match: { ...viewed(3).match, op: 'most' } })).toBe(false)
})

test('a mistake in a rule is answered with its path', async () => {
  const rule = { match: { k: 'all', of: [{ k: 'trait', path: 'plan', op: 'equals', value: 1 }] } }
  for (const answer of [
    await api.post('/api/v1/segments', { slug: 'wrong', name: 'Wrong', rule }),
    await api.call('PUT', '/api/v1/segments/viewers/rule', { body: { rule } }),
  ]) {
    expect([answer.status, answer.body.code, answer.body.field]).toEqual([
      422,
      'invalid_rule',
      'rule.match.of[0].op',
    ])
  }
  const digits = await api.post('/api/v1/segments', { slug: '42', name: 'Digits', rule: viewed(1) })
  expect([digits.status, digits.body.field]).toEqual([400, 'slug'])
})

test('whatever a rule is, the answer is a 2xx or a 4xx, and what is taken can be evaluated', async () => {
  const window = { k: 'lifetime' }
  const agg = { k: 'agg', event: 'Viewed', agg: 'sum', prop: 'n', window, op: 'gt' }
  const odd: unknown[] = [
    null,
    [],
    'rule',
    { match: null },
    { match: { ...agg, value: 1e300 } },
    { match: { ...agg, value: 1e-300 } },
    { match: { ...agg, value: -1e21 } },
    { match: { ...agg, value: '1e3' } },
    { match: { ...agg, prop: 'revenue', value: 1e21 } },
    { match: { ...agg, prop: 'revenue', value: 0.001 } },
    { match: { ...agg, where: [{ prop: 'n', op: 'gt', value: 1e300 }], value: 1 } },
    { match: { ...agg, event: '\u0000', value: 1 } },
    { match: { ...agg, event: '\ud800', value: 1 } },
    { match: { k: 'trait', path: '__proto__.x', op: 'exists' } },
    { match: { k: 'trait', path: 'constructor', op: 'exists' } },
    { match: { k: 'trait', path: 'a', op: 'in', value: Array.from({ length: 201 }, () => 1) } },
  ]
  for (const rule of odd) {
    const { status, text } = await api.post('/api/v1/segments/preview', { rule })
    expect([JSON.stringify(rule).slice(0, 200), status, status < 500 ? '' : text]).toEqual([
      JSON.stringify(rule).slice(0, 200),
      status,
      '',
    ])
  }
  for (const [open, close] of [
    ['[', ']'],
    ['{"of":', '}'],
  ] as const) {
    const deep = `{"rule":{"match":${open.repeat(60_000)}1${close.repeat(60_000)}}}`
    const answer = await fetch(`${api.url}/api/v1/segments/preview`, {
      method: 'POST',
      headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
      body: deep,
    })
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringContaining('nested deeper')])
  }
})

test('with the queues out of reach a segment is still made, and the sweep has everybody evaluated', async () => {
  const producer = connectProducer(world.redisUrl)
  await whenReady(producer)
  const sender = createSender({ redis: producer, namespace: world.namespace })
  const cutOff = await startApi({ ...world, sender })
  producer.disconnect()
  const made = await cutOff.post('/api/v1/segments', { slug: 'later', name: 'Later', rule: viewed(6) })
  expect([made.status, made.body.state, made.body.run.share]).toEqual([201, 'building', 0])
  expect(await sizeOf('later')).toBe(0)
  await world.sql`update segment_runs set started_at = started_at - interval '2 minutes'`
  await world.sql`update segment_run_parts set updated_at = updated_at - interval '2 minutes'`
  expect((await sweep(scheduleDeps(world, Date.now()), NEVER)).chunks).toBe(1)
  await isSettled('later', 20)
  await isLive('later')
  expect((await api.call('DELETE', '/api/v1/segments/later')).status).toBe(200)
  await cutOff.close()
  await sender.close()
})

test('changes are in the audit log with who made them', async () => {
  const { body } = await api.get('/api/v1/audit')
  expect(body.data.map((row: { action: string }) => row.action)).toEqual([
    'segment.archive',
    'segment.create',
    'segment.rule',
    'segment.archive',
    'segment.rule',
    'segment.create',
  ])
  expect(body.data[0].actor).toBe(`key:${api.keyId}`)
})

test('a segment over another follows it, keeps it from being archived, and cannot be what it is over', async () => {
  const make = (slug: string, rule: unknown) => api.post('/api/v1/segments', { slug, name: slug, rule })
  const over = (segment: string) => ({
    match: {
      k: 'all',
      of: [
        { k: 'segment', segment },
        { k: 'not', of: viewed(21).match },
      ],
    },
  })
  const missing = await make('over', over('base'))
  expect([missing.status, missing.body.code, missing.body.field]).toEqual([422, 'invalid_rule', 'rule.match'])
  expect(missing.body.detail).toContain('there is no live segment "base"')
  await make('base', viewed(16))
  expect((await make('over', over('base'))).status).toBe(201)
  await isSettled('over', 5)
  const preview = await api.post('/api/v1/segments/preview', { rule: over('over') })
  expect(preview.body).toMatchObject({ members: 5, complete: true })
  await api.call('PUT', '/api/v1/segments/base/rule', { body: { rule: viewed(11) } })
  await isSettled('over', 10)
  const circle = await api.call('PUT', '/api/v1/segments/base/rule', { body: { rule: over('over') } })
  expect(circle.body.detail).toContain('it refers to itself: base → over → base')
  const kept = await api.call('DELETE', '/api/v1/segments/base')
  expect([kept.status, kept.body.code]).toEqual([409, 'conflict'])
  expect((await api.call('DELETE', '/api/v1/segments/over')).status).toBe(200)
  expect((await api.call('DELETE', '/api/v1/segments/base')).status).toBe(200)
})
