// Lists through the API, on real servers and with the real pools: uploads, what they are refused for, and who enters and
// leaves by them, also by a merge and on several Postgres servers.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jobsInFlow } from '../../cli/demo/counts.ts'
import { persist } from '../../queues/pipeline.ts'
import { replaceList } from '../../store/lists.ts'
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

const upload = (slug: string, csv: string, headers: Record<string, string> = {}) =>
  api.call('PUT', `/api/v1/lists/${slug}`, { csv, headers })
const make = (slug: string, match: unknown) =>
  api.post('/api/v1/segments', { slug, name: slug, rule: { match } })
const inList = (list: string) => ({ k: 'list', list })

async function membersOf(segment: string): Promise<string[]> {
  const { body } = await api.get(`/api/v1/segments/${segment}/members`)
  return body.data.map((row: { userId: string }) => row.userId).sort()
}
const isSettled = (segment: string, ...users: string[]) =>
  waitFor(async () => (await membersOf(segment)).join() === users.join(), {
    what: `${users.join()} in ${segment}`,
  })
const isQuiet = () =>
  waitFor(async () => (await jobsInFlow(world.producer, world.config)) === 0, { what: 'empty queues' })

beforeAll(async () => {
  world = await testWorld({}, { servers: 2 })
  await world.sql`insert into sources (name) values ('shop')`
  await world.run(persistPool)
  await world.run(segmentPool)
  const people = Array.from({ length: 12 }, (_, i) => normalEvent({ userId: `p-${i}`, name: 'Viewed' }))
  await world.sender.send(persist, [
    normalBatch([...people, normalEvent({ anonymousId: 'anon-1', name: 'Viewed' })]),
  ])
  await waitFor(async () => (await world.onAll((sql) => sql`select 1 from events`)).length === 13)
  await isQuiet()
  api = await startApi(world)
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('an upload makes a list, another replaces all of it, the same again changes nothing', async () => {
  const made = await upload('fair', 'name,user_id\nA,p-1\nB,p-2\nB,p-2\n,\nC,nobody-yet\n')
  expect([made.status, made.body.code]).toEqual([200, undefined])
  expect(made.body).toMatchObject({
    slug: 'fair',
    count: 3,
    version: 1,
    rows: 4,
    skipped: 1,
    runId: null,
  })
  const same = await upload('fair', 'p-2\nnobody-yet\r\np-1', { 'content-type': 'text/csv; charset=utf-8' })
  expect(same.body).toMatchObject({ count: 3, version: 1, updatedAt: made.body.updatedAt })
  const other = await upload('fair', 'userId\n"p-3"\np-1\n')
  expect(other.body).toMatchObject({ count: 2, version: 2, createdAt: made.body.createdAt })
  const { rows: _, skipped: __, runId: ___, ...shown } = other.body
  expect((await api.get('/api/v1/lists/fair')).body).toEqual(shown)
  expect((await api.get('/api/v1/lists')).body).toEqual({ data: [shown] })
  const stored = await world.sql`select user_id from list_members order by user_id`
  expect(stored.map((row) => row.user_id)).toEqual(['p-1', 'p-3'])
})

test('a refused upload says why and leaves the list as it was', async () => {
  const before = (await api.get('/api/v1/lists/fair')).body
  const many = Array.from({ length: 30_000 }, (_, i) => `p-${i}\n`).join('')
  const refused = async (csv: string, headers?: Record<string, string>, slug = 'fair') => {
    const { status, body } = await upload(slug, csv, headers)
    return [status, body.code, body.detail]
  }
  expect(await refused(`${many}"open`)).toEqual([400, 'malformed_csv', 'line 30001: a quote is not closed'])
  expect(await refused('')).toEqual([400, 'malformed_csv', expect.stringContaining('no user id')])
  expect(await refused('{}', { 'content-type': 'application/json' })).toEqual([
    ...[415, 'unsupported_media', expect.stringContaining('text/csv')],
  ])
  expect(await refused('p-1', { 'content-encoding': 'gzip' })).toEqual([
    ...[415, 'unsupported_media', expect.stringContaining('Content-Encoding')],
  ])
  expect(await refused('p-1', {}, 'No-Slug')).toEqual([...[400, 'invalid_request', expect.any(String)]])
  const bytes = await fetch(`${api.url}/api/v1/lists/fair`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${api.key}`, 'content-type': 'text/csv' },
    body: Buffer.from([0x70, 0xff, 0x0a]),
  })
  expect([bytes.status, await bytes.json()]).toEqual([
    400,
    expect.objectContaining({ code: 'malformed_csv' }),
  ])
  expect((await api.get('/api/v1/lists/fair')).body).toEqual(before)
  expect((await api.get('/api/v1/lists/none')).status).toBe(404)
})

/** Sends pieces until they are over or nobody reads them any more. */
async function stream(slug: string, pieces: Iterable<string>, signal?: AbortSignal) {
  const encoder = new TextEncoder()
  const iterator = pieces[Symbol.iterator]()
  const body = new ReadableStream({
    async pull(controller) {
      // Lets everything else run: an abort, and the answer.
      await new Promise((resolve) => setImmediate(resolve))
      const next = iterator.next()
      if (next.done === true) controller.close()
      else controller.enqueue(encoder.encode(next.value))
    },
  })
  const init = {
    method: 'PUT',
    headers: { authorization: `Bearer ${api.key}`, 'content-type': 'text/csv' },
    body,
  }
  const options = { ...init, duplex: 'half', ...(signal === undefined ? {} : { signal }) }
  return fetch(`${api.url}/api/v1/lists/${slug}`, options as RequestInit)
}

test('a body over the limit is cut off with its code, and one that breaks off is rolled back', async () => {
  const tooLong = function* () {
    yield 'user_id,note\n'
    for (let i = 0; i < 1_100; i++) yield `p-${i},${'x'.repeat(65_536)}\n`
  }
  const long = await stream('long', tooLong())
  expect([long.status, await long.json()]).toEqual([
    ...[
      413,
      expect.objectContaining({ code: 'payload_too_large', detail: expect.stringContaining('bytes') }),
    ],
  ])
  const wrong = function* () {
    yield 'ann\n"bob"x\n'
    for (let i = 0; i < 200; i++) yield 'x'.repeat(65_536)
  }
  const early = await stream('long', wrong())
  expect([early.status, await early.json()]).toEqual([
    ...[400, expect.objectContaining({ code: 'malformed_csv', detail: expect.stringContaining('line 2') })],
  ])
  const aborting = new AbortController()
  const endless = function* () {
    for (let i = 0; i < 1_000; i++) {
      if (i === 200) aborting.abort()
      yield `p-${i}\n`.repeat(1_000)
    }
  }
  await expect(stream('broken', endless(), aborting.signal)).rejects.toThrow()
  await waitFor(
    async () =>
      (
        await world.sql`select 1 from pg_stat_activity where datname = current_database() and query like 'copy uploaded%' and state <> 'idle'`
      ).length === 0,
    { what: 'no upload under way' },
  )
  for (const slug of ['long', 'broken']) expect((await api.get(`/api/v1/lists/${slug}`)).status).toBe(404)
  expect((await upload('fair', 'p-1\np-3\n')).body).toMatchObject({ count: 2, version: 2 })
}, 60_000)

test('a rule that names no list is refused with its path and the one that was meant', async () => {
  const match = { k: 'all', of: [inList('fair'), { k: 'not', of: inList('fairs') }] }
  for (const answer of [
    await make('wrong', match),
    await api.post('/api/v1/segments/preview', { rule: { match } }),
  ]) {
    expect([answer.status, answer.body.code, answer.body.field]).toEqual([
      ...[422, 'invalid_rule', 'rule.match.of[1].of.list'],
    ])
    expect(answer.body.detail).toBe(
      'rule.match.of[1].of.list names no list: there is no "fairs"; did you mean "fair"?',
    )
  }
})

test('who is in the list is in the segment, on every server, and follows each upload, also through other segments', async () => {
  const [one] = await world.sql`select count(*)::int as n from profiles`
  expect(one?.n).toBeLessThan(13)
  await make('visitors', inList('fair'))
  await make('others', { k: 'not', of: { k: 'segment', segment: 'visitors' } })
  await isSettled('visitors', 'p-1', 'p-3')
  const preview = await api.post('/api/v1/segments/preview', { rule: { match: inList('fair') } })
  expect(preview.body).toMatchObject({ members: 2, of: 13, complete: true })
  const all = Array.from({ length: 12 }, (_, i) => `p-${i}`)
  const put = await upload('fair', all.slice(2).join('\n'))
  expect(put.body).toMatchObject({ version: 3, count: 10, runId: expect.any(Number) })
  await isSettled('visitors', ...all.slice(2).sort())
  await waitFor(async () => (await membersOf('others')).filter((id) => id !== null).join() === 'p-0,p-1')
  const reasons = await world.onAll(
    (sql) => sql`
      select op, reason from membership_changes where segment_id = 1 and profile_id in
        (select profile_id from profiles where user_id in ('p-1', 'p-5')) order by change_id`,
  )
  expect(reasons.map((row) => `${row.op} ${row.reason}`).sort()).toEqual([
    ...['enter backfill', 'enter rule_changed', 'exit rule_changed'],
  ])
  const run = await waitFor(
    async () =>
      (await world.sql`select * from segment_runs where list_id = 1 and state = 'done' and version = 3`)[0],
    { what: 'the run of the list' },
  )
  expect(run.segment_ids).toEqual([1, 2])
})

test('an explanation says what the list says', async () => {
  const found = async (user: string) =>
    (await api.get(`/api/v1/users/${user}/segments/visitors/explanation`)).body
  expect(await found('p-5')).toMatchObject({
    ...{ holds: true, member: true, changesAt: null },
    conditions: [{ path: 'rule.match', k: 'list', holds: true, value: 'fair', changesAt: null }],
  })
  expect(await found('p-1')).toMatchObject({ holds: false, conditions: [{ k: 'list', holds: false }] })
})

test('who comes to have an id of the list enters with it: by log-in, by an alias, by a merge', async () => {
  await upload('fair', 'late-1\nlate-2\nold-3\n')
  await isSettled('visitors')
  await isQuiet()
  const identify = normalEvent({ userId: 'late-1', anonymousId: 'anon-1', type: 'identify', name: '' })
  const alias = normalEvent({ userId: 'late-2', previousId: 'p-7', type: 'alias', name: '' })
  const loner = normalEvent({ userId: 'old-3', name: 'Viewed' })
  await world.sender.send(persist, [normalBatch([identify]), normalBatch([alias, loner])])
  await waitFor(async () => (await membersOf('visitors')).length === 3, { what: 'three by their ids' })
  const merge = normalEvent({ userId: 'p-9', previousId: 'old-3', type: 'alias', name: '' })
  await world.sender.send(persist, [normalBatch([merge])])
  await waitFor(
    async () => (await membersOf('visitors')).includes('p-9') && (await membersOf('visitors')).length === 3,
    { what: 'the survivor of the merge' },
  )
})

test('a list that a live segment asks about is kept, then it can go', async () => {
  const kept = await api.call('DELETE', '/api/v1/lists/fair')
  expect([kept.status, kept.body.code, kept.body.detail]).toEqual([
    ...[409, 'conflict', expect.stringContaining('"visitors"')],
  ])
  for (const slug of ['others', 'visitors']) await api.call('DELETE', `/api/v1/segments/${slug}`)
  expect((await api.call('DELETE', '/api/v1/lists/fair')).body).toEqual({ slug: 'fair', deleted: true })
  expect(await world.sql`select 1 from list_members`).toHaveLength(0)
  expect((await api.call('DELETE', '/api/v1/lists/fair')).status).toBe(404)
  const back = await api.call('PUT', '/api/v1/segments/visitors/rule', {
    body: { rule: { match: inList('fair') } },
  })
  expect([back.status, back.body.code]).toEqual([422, 'invalid_rule'])
  const { body } = await api.get('/api/v1/audit?limit=100')
  const ours = body.data.filter((row: { action: string }) => row.action.startsWith('list.'))
  expect(ours[0]).toMatchObject({
    action: 'list.delete',
    actor: `key:${api.keyId}`,
    details: { slug: 'fair' },
  })
  expect(JSON.stringify(ours)).not.toMatch(/p-\d|late-/)
})

test('an upload whose people were not all handed on is found by the sweep', async () => {
  await upload('swept', 'p-1\n')
  await make('of-swept', inList('swept'))
  await isSettled('of-swept', 'p-1')
  // Else the end of that run begins the next one by itself.
  await waitFor(
    async () =>
      (await world.sql`select 1 from segment_runs where state in ('waiting', 'running')`).length === 0,
  )
  const changed = await replaceList(world.sql, 'swept', pieces())
  expect(changed).toMatchObject({ isChanged: true, runId: expect.any(Number), list: { version: 2 } })
  expect(await sweep(scheduleDeps(world, Date.now()), NEVER)).toMatchObject({ chunks: 1 })
  await isSettled('of-swept', 'p-4', 'p-6')
  expect(await sweep(scheduleDeps(world, Date.now()), NEVER)).toMatchObject({ chunks: 0 })

  async function* pieces() {
    yield ['p-4', 'p-6']
  }
})

test('uploads of one list at once leave one of them whole, and segments come and go meanwhile', async () => {
  const files = Array.from({ length: 8 }, (_, i) => Array.from({ length: 400 }, (_, n) => `f${i}-${n}`))
  const answers = await Promise.all([
    ...files.map(async (ids) => {
      for (;;) {
        const answer = await upload('raced', ids.join('\n'))
        if (answer.body.code !== 'overloaded') return answer.status
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }),
    ...['a', 'b', 'c'].map(async (slug) => (await make(`by-${slug}`, inList('swept'))).status),
  ])
  expect(answers).toEqual([...files.map(() => 200), 201, 201, 201])
  const rows = await world.sql`
    select m.user_id from list_members m join lists l using (list_id) where l.slug = 'raced'`
  expect(new Set(rows.map((row) => row.user_id.split('-')[0])).size).toBe(1)
  expect((await api.get('/api/v1/lists/raced')).body).toMatchObject({ count: 400, version: 8 })
})
