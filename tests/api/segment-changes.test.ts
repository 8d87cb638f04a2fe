// The entries and exits of a segment in pages, while passes on two Postgres servers write more of them.
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { addPeople, addSegment, changeOf, writeAll, writeAsPass } from '../support/feed-writer.ts'
import { testWorld, type World } from '../support/world.ts'

// Many requests one after the other; the time is a limit, not a measure.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })

let world: World
let api: ApiServer
let people: number[]
let segmentId: number
let otherId: number

beforeAll(async () => {
  world = await testWorld({}, { servers: 2 })
  people = await addPeople(world.servers, 400)
  segmentId = await addSegment(world.servers, 'busy')
  otherId = await addSegment(world.servers, 'other')
  api = await startApi(world)
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

type Row = { id: number; profileId: number; userId: string; op: string; reason: string; recordedAt: string }

async function all(query: string, between: () => Promise<void> = async () => {}, limit = 50) {
  const data: Row[] = []
  let pages = 0
  for (let cursor = ''; ; pages++) {
    const { status, body } = await api.get(`/api/v1/segments/busy/changes?limit=${limit}${query}${cursor}`)
    expect([status, body.data?.length <= limit]).toEqual([200, true])
    data.push(...body.data)
    if (body.nextCursor === null) return { data, pages: pages + 1 }
    cursor = `&cursor=${body.nextCursor}`
    await between()
  }
}

type Stored = { id: number; op: string; reason: string; us: number }

/** Newest first. */
async function stored(): Promise<Stored[]> {
  const rows = await world.onAll(
    (sql) => sql<Stored[]>`
      select change_id as id, op, reason, (extract(epoch from recorded_at) * 1000000)::bigint as us
      from membership_changes where segment_id = ${segmentId}`,
  )
  return rows.sort((a, b) => b.us - a.us || b.id - a.id)
}

const REASONS = ['event', 'time', 'late', 'rule_changed']

/** Of some people, as a pass that takes its time before it commits. */
async function write(n: number) {
  const some = people.filter((_, i) => i % 7 === n % 7)
  for (const own of Map.groupBy(some, world.servers.of).values()) {
    const changes = own.flatMap((id) =>
      [segmentId, otherId].map((segment) =>
        changeOf(id, {
          segmentId: segment,
          op: n % 2 === 0 ? 'enter' : 'exit',
          reason: REASONS[n % REASONS.length] ?? 'event',
        }),
      ),
    )
    await writeAsPass(world.servers, changes, {
      shards: 16,
      beforeCommit: () => new Promise((resolve) => setTimeout(resolve, (n * 7) % 20)),
    })
  }
}

test('pages show each change once, newest first, while more are written', async () => {
  for (let n = 0; n < 12; n++) await write(n)
  const before = await stored()
  expect(before.length).toBeGreaterThan(300)
  let isOver = false
  let n = 12
  const writing = (async () => {
    while (!isOver) await write(n++)
  })()
  const { data } = await all('', async () => {}, 9)
  isOver = true
  await writing
  expect(n).toBeGreaterThan(13)
  const ids = data.map((row) => row.id)
  expect(new Set(ids).size).toBe(ids.length)
  const wanted = new Set(before.map((row) => row.id))
  expect(ids.filter((id) => wanted.has(id))).toEqual(before.map((row) => row.id))
  const later = new Set((await stored()).map((row) => row.id))
  expect(ids.filter((id) => !later.has(id))).toEqual([])
  const times = data.map((row) => row.recordedAt)
  expect(times).toEqual(times.toSorted().reverse())
})

test('what is asked for is filtered by time, op and reason, and told whole', async () => {
  const rows = await stored()
  const first = rows.at(-1)?.us ?? 0
  const last = rows[0]?.us ?? 0
  const [from, to] = [0.3, 0.7].map((part) => Math.round((first + (last - first) * part) / 1000)) as [
    number,
    number,
  ]
  const instants = `&from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}`
  const within = rows.filter((row) => row.us >= from * 1000 && row.us < to * 1000)
  const idsOf = (some: { id: number }[]) => some.map((row) => row.id)
  expect(within.length).toBeGreaterThan(10)
  expect(idsOf((await all(instants)).data)).toEqual(idsOf(within))
  expect(idsOf((await all('&op=exit')).data)).toEqual(idsOf(rows.filter((row) => row.op === 'exit')))
  expect(idsOf((await all(`${instants}&op=enter&reason=late`)).data)).toEqual(
    idsOf(within.filter((row) => row.op === 'enter' && row.reason === 'late')),
  )
  const metrics = [
    { path: 'rule.match', k: 'trait', holds: true, value: 'gold', op: 'eq', threshold: 'gold' },
  ]
  const [id = 0] = people
  await writeAll(world.servers, [changeOf(id, { segmentId, metrics, version: 3 })])
  const { body } = await api.get('/api/v1/segments/busy/changes?limit=1')
  expect(body.data).toEqual([
    {
      ...{ id: expect.any(Number), segment: segmentId, slug: 'busy', profileId: id, userId: `u-${id}` },
      ...{ op: 'enter', reason: 'event', version: 3, metrics },
      effectiveAt: '2026-11-20T00:00:00.000Z',
      recordedAt: expect.any(String),
    },
  ])
})

test('a reason that is rare is found in pages that look at so much at the most', async () => {
  const rare = people.slice(0, 3)
  await writeAll(
    world.servers,
    rare.map((id) => changeOf(id, { segmentId, reason: 'merged' })),
  )
  for (const sql of world.servers.all)
    await sql`
      insert into membership_changes (bucket, profile_id, segment_id, op, reason, version, effective_at)
      select p.bucket, p.profile_id, ${segmentId}, 'enter', 'time', 1, now()
      from profiles p, generate_series(1, 40)`
  const { data, pages } = await all('&reason=merged')
  expect(data.map((row) => row.profileId).sort()).toEqual(rare.toSorted())
  expect(pages).toBeGreaterThan(2)
})

test('changes of a segment that is not there, and cursors that are not ours, are refused', async () => {
  expect((await api.get('/api/v1/segments/none/changes')).status).toBe(404)
  const problem = async (query: string) => {
    const { status, body } = await api.get(`/api/v1/segments/busy/changes?${query}`)
    return [status, body.field]
  }
  expect(await problem('cursor=abc')).toEqual([400, 'cursor'])
  expect(await problem('from=today')).toEqual([400, 'from'])
  expect(await problem('op=stay')).toEqual([400, 'op'])
  expect(await problem('reason=whim')).toEqual([400, 'reason'])
})
