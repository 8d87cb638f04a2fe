// Drafts through the API with the real pools, on two Postgres servers: tried beside the live rule, looked at, published, taken
// back; while live events go on.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jobsInFlow } from '../../cli/demo/counts.ts'
import { persist } from '../../queues/pipeline.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { sweep } from '../../workers/schedule/sweep.ts'
import { segmentPool } from '../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { NEVER, scheduleDeps } from '../support/schedule-deps.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let api: ApiServer

const views = (value: number) => ({
  match: { k: 'agg', event: 'Viewed', agg: 'count', window: { k: 'lifetime' }, op: 'gte', value },
})
const path = (rest = '') => `/api/v1/segments/viewers${rest}`
const view = async (...userIds: string[]) => {
  await world.sender.send(persist, [
    normalBatch(userIds.map((userId) => normalEvent({ userId, name: 'Viewed' }))),
  ])
}
const isQuiet = () =>
  waitFor(async () => (await jobsInFlow(world.producer, world.config)) === 0, { what: 'empty queues' })
const draftIsReady = () =>
  waitFor(async () => (await api.get(path())).body.draft?.state === 'draft', { what: 'the draft' })
const isLive = () => waitFor(async () => (await api.get(path())).body.state === 'live', { what: 'live' })
async function members(): Promise<string[]> {
  const { body } = await api.get(path('/members?limit=500'))
  return body.data.map((row: { userId: string }) => row.userId).sort()
}
const changes = async () => {
  const rows = await world.onAll(
    (sql) => sql`select op, reason, version, segment_id from membership_changes order by change_id`,
  )
  return rows.map((row) => `${row.op} ${row.reason} v${row.version}`)
}
const several = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `v-${i + from}`)

beforeAll(async () => {
  world = await testWorld({}, { servers: 2 })
  await world.sql`insert into sources (name) values ('shop')`
  await world.run(persistPool)
  await world.run(segmentPool)
  api = await startApi(world)
  // v-0 to v-9 view once, v-10 to v-19 twice, v-20 to v-29 three times.
  await view(...several(30), ...several(20, 10), ...several(10, 20))
  await isQuiet()
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('a segment that begins as a draft has no members, and says who would be in', async () => {
  const made = await api.post('/api/v1/segments', {
    ...{ slug: 'viewers', name: 'Viewers', rule: views(2), draft: true },
  })
  expect([made.status, made.body.state, made.body.version]).toEqual([201, 'draft', null])
  await draftIsReady()
  expect(await members()).toEqual([])
  const { body } = await api.get(path('/draft'))
  expect(body).toMatchObject({
    version: 1,
    state: 'draft',
    difference: { entering: 20, leaving: 0, stays: 0 },
  })
  expect(await changes()).toEqual([])
  expect((await api.get('/api/v1/users/v-29/segments')).body.data).toEqual([])
  expect((await api.get('/api/v1/users/v-29')).body.segments ?? 0).toBe(0)
})

test('what happens meanwhile moves the draft, and nobody else', async () => {
  await view('v-0', 'v-1', 'new-1', 'new-1')
  await isQuiet()
  await waitFor(async () => (await api.get(path('/draft'))).body.difference.entering === 23)
  expect(await changes()).toEqual([])
})

test('published it is live, and those who were in enter by the rule alone', async () => {
  const published = await api.post(path('/draft/publish'), undefined)
  expect([published.status, published.body.version, published.body.draft]).toEqual([200, 1, null])
  await isLive()
  expect(await members()).toHaveLength(23)
  expect(await changes()).toEqual(Array.from({ length: 23 }, () => 'enter backfill v1'))
  const again = await api.post(path('/draft/publish'), undefined)
  expect([again.status, again.body.code]).toEqual([409, 'conflict'])
  expect(again.body.detail).toContain('there is no draft to publish')
  expect((await api.post(path('/rollback'), undefined)).status).toBe(409)
})

test('the difference of an edit is shown by count and by person before anything moves', async () => {
  const put = await api.call('PUT', path('/draft'), { body: { rule: views(3), note: 'fewer' } })
  expect([put.status, put.body.version, put.body.draft.version]).toEqual([200, 1, 2])
  await draftIsReady()
  expect((await api.get(path('/draft'))).body).toMatchObject({
    ...{ version: 2, note: 'fewer', difference: { entering: 0, leaving: 13, stays: 10 } },
  })
  const seen: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const after: string = cursor === '' ? '' : `&cursor=${cursor}`
    const page = await api.get(path(`/draft/people?limit=4&op=exit${after}`))
    seen.push(...page.body.data.map((row: { userId: string }) => row.userId))
    cursor = page.body.nextCursor
  }
  expect(seen.toSorted()).toEqual(['new-1', 'v-0', 'v-1', ...several(10, 10)].toSorted())
  expect((await api.get(path('/draft/people?op=enter'))).body.data).toEqual([])
  expect(await members()).toHaveLength(23)
})

test('publishing moves those alone, and the way back leads to exactly who was in', async () => {
  const before = await members()
  await api.post(path('/draft/publish'), undefined)
  await isLive()
  expect(await members()).toEqual(several(10, 20))
  const runs = (await api.get(path('/runs'))).body.data
  expect(runs[0]).toMatchObject({ people: 'difference', evaluated: 13, entered: 0, exited: 13, version: 2 })
  const back = await api.post(path('/rollback'), undefined)
  expect([back.status, back.body.version]).toEqual([200, 1])
  await isLive()
  expect(await members()).toEqual(before)
  // Whoever views while the other version is live is in both when it is time.
  await view('v-10')
  await isQuiet()
  await api.post(path('/rollback'), undefined)
  await isLive()
  expect(await members()).toEqual(['v-10', ...several(10, 20)].sort())
  const reasons = new Set(await changes())
  expect(reasons).toEqual(new Set(['enter backfill v1', 'exit rule_changed v2', 'enter rule_changed v1']))
})

test('versions are kept, with who wrote them and why', async () => {
  const { data } = (await api.get(path('/versions'))).body
  expect(data).toMatchObject([
    { version: 2, state: 'live', note: 'fewer', author: `key:${api.keyId}`, rule: views(3) },
    { version: 1, state: 'retired', rule: views(2) },
  ])
})

test('a draft that is thrown away leaves nothing behind, and takes the way back with it', async () => {
  await api.call('PUT', path('/draft'), { body: { rule: views(1) } })
  await draftIsReady()
  expect((await api.get(path('/draft'))).body.difference.entering).toBeGreaterThan(10)
  const dropped = await api.call('DELETE', path('/draft'))
  expect([dropped.status, dropped.body.draft]).toEqual([200, null])
  await isQuiet()
  expect(await world.onAll((sql) => sql`select 1 from memberships where segment_id < 0`)).toHaveLength(0)
  expect((await api.get(path('/draft'))).status).toBe(404)
  const back = await api.post(path('/rollback'), undefined)
  expect([back.status, back.body.detail]).toEqual([409, expect.stringContaining('not kept any more')])
  expect(await members()).toEqual(['v-10', ...several(10, 20)].sort())
})

test('while a draft is published events go on, and everybody ends where the new rule says', async () => {
  await api.call('PUT', path('/draft'), { body: { rule: views(4) } })
  await draftIsReady()
  // Each views twice more, in single events around the swap.
  const sends: Promise<void>[] = []
  for (const userId of several(30)) sends.push(view(userId))
  await api.post(path('/draft/publish'), undefined)
  for (const userId of several(30)) sends.push(view(userId))
  await Promise.all(sends)
  await isQuiet()
  await isLive()
  const four = ['v-0', 'v-1', ...several(20, 10)].sort()
  await waitFor(async () => (await members()).join() === four.join(), { what: 'whoever has four views' })
  // By the version before, which is followed on, three are enough.
  const shadow = await world.onAll((sql) => sql`select 1 from memberships where segment_id = -1`)
  expect(shadow.length).toBe(30)
})

test('a segment that refers to another follows it when a draft of that one is published', async () => {
  const over = { match: { k: 'not', of: { k: 'segment', segment: 'viewers' } } }
  await api.post('/api/v1/segments', { slug: 'others', name: 'Others', rule: over })
  const size = async () => (await api.get('/api/v1/segments/others/size')).body.size
  await waitFor(async () => (await size()) === 9, { what: '9 others' })
  await api.call('PUT', path('/draft'), { body: { rule: views(1) } })
  await draftIsReady()
  expect(await size()).toBe(9)
  await api.post(path('/draft/publish'), undefined)
  await waitFor(async () => (await size()) === 0, { what: 'no others' })
  // Nor can it be taken away while a draft refers to it.
  await api.call('DELETE', '/api/v1/segments/others')
  const draft = { slug: 'later', name: 'Later', rule: over, draft: true }
  expect((await api.post('/api/v1/segments', draft)).status).toBe(201)
  const kept = await api.call('DELETE', path())
  expect([kept.status, kept.body.detail]).toEqual([409, expect.stringContaining('"later" refers to it')])
})

test('an edit that is live at once leaves no way back to what was before the one before', async () => {
  const made = await api.post('/api/v1/segments', { slug: 'edited', name: 'Edited', rule: views(1) })
  expect(made.status).toBe(201)
  const edited = (rest: string) => `/api/v1/segments/edited${rest}`
  const state = async () => (await api.get(edited(''))).body
  await api.call('PUT', edited('/draft'), { body: { rule: views(2) } })
  await waitFor(async () => (await state()).draft?.state === 'draft', { what: 'the draft' })
  await api.post(edited('/draft/publish'), undefined)
  await api.call('PUT', edited('/rule'), { body: { rule: views(3) } })
  expect((await api.post(edited('/rollback'), undefined)).body.detail).toContain('not kept any more')
  await waitFor(async () => (await state()).state === 'live', { what: 'live' })
})

test('a draft of an archived segment brings nobody back before it is published', async () => {
  const edited = (rest: string) => `/api/v1/segments/edited${rest}`
  const state = async () => (await api.get(edited(''))).body
  await api.call('DELETE', edited(''))
  await waitFor(async () => (await state()).run === null, { what: 'everybody to have left' })
  const put = await api.call('PUT', edited('/draft'), { body: { rule: views(1) } })
  expect([put.body.state, put.body.version]).toEqual(['draft', null])
  await waitFor(async () => (await state()).draft?.state === 'draft', { what: 'the draft' })
  expect((await api.get(edited('/size'))).body.size).toBe(0)
  await api.post(edited('/draft/publish'), undefined)
  await waitFor(async () => (await state()).state === 'live', { what: 'live' })
  expect((await api.get(edited('/size'))).body.size).toBeGreaterThan(20)
})

test('a segment is run when asked for, and at the times of its schedule', async () => {
  const stray = several(1, 900)
  await view(...stray)
  await isQuiet()
  await isLive()
  // A membership that nobody should have: a run finds it.
  await world.onAll(
    (sql) =>
      sql`delete from memberships m using profiles p where p.user_id = 'v-5' and m.profile_id = p.profile_id`,
  )
  expect(await members()).not.toContain('v-5')
  const ran = await api.post(path('/runs'), undefined)
  expect([ran.status, ran.body.people]).toEqual([202, 'everybody'])
  await waitFor(async () => (await members()).includes('v-5'), { what: 'v-5 back' })
  await isLive()

  const schedule = { cron: '0 6 * * *', timeZone: 'Europe/Berlin' }
  expect((await api.call('PUT', path('/schedule'), { body: schedule })).body.schedule).toEqual(schedule)
  const wrong = await api.call('PUT', path('/schedule'), { body: { ...schedule, cron: '* * * * *' } })
  expect([wrong.status, wrong.body.field]).toEqual([400, 'cron'])
  const runsBefore = (await api.get(path('/runs'))).body.data.length
  await sweep(scheduleDeps(world, Date.now()), NEVER)
  expect((await api.get(path('/runs'))).body.data).toHaveLength(runsBefore)
  await world.sql`update segments set schedule_kept_at = now() - interval '25 hours' where slug = 'viewers'`
  await Promise.all([1, 2].map(() => sweep(scheduleDeps(world, Date.now()), NEVER)))
  expect((await api.get(path('/runs'))).body.data).toHaveLength(runsBefore + 1)
  await isLive()
  await api.call('DELETE', path('/schedule'))
  expect((await api.get(path())).body.schedule).toBeNull()
})
