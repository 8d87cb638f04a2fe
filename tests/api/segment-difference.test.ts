// The difference of two dates, as known then and as known now, and of two versions, of segments with random rules over random
// lives: against the naive evaluator, which is asked of everybody at both ends.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { checkRule } from '../../domain/segments/version.ts'
import { persist } from '../../queues/pipeline.ts'
import { manualClock } from '../../runtime/clock.ts'
import type { Rule } from '../../schema/rule.ts'
import { replaceList } from '../../store/lists.ts'
import { takeDueTimers } from '../../store/memberships.ts'
import { addVersion, archiveSegment, createSegment } from '../../store/segments.ts'
import { createSegmentCatalog } from '../../workers/live-segments.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { runPass } from '../../workers/segment/pass.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { inPieces } from '../support/list-pieces.ts'
import { HOUR, LISTS, life, lists, START, traits } from '../support/random-lives.ts'
import { MEASURED } from '../support/random-metrics.ts'
import { ruleNode } from '../support/random-rules.ts'
import { isMember, type OracleEvent, type OraclePerson } from '../support/segment-oracle.ts'
import { asNormal, SECRET, storeContact, storeSent } from '../support/stored-contact.ts'
import { storeMetrics } from '../support/stored-metrics.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 240_000 })

const PEOPLE = 24
const SEGMENTS = 12
// Another one every run; a failure names it.
const seed = Number(process.env.MILLRACE_TEST_SEED ?? Date.now() % 2 ** 31)

type Known = OraclePerson & { userId: string; profileId: number }
/** Between two passes, by the clock of Postgres; and who was in each segment then, by the naive evaluator. */
type Checkpoint = { at: string; members: Set<string>[] }

let world: World
let api: ApiServer
const clock = manualClock(START)
const catalog = createSegmentCatalog()
let people: Known[] = []
let segments: { slug: string; segmentId: number; rule: Rule }[] = []
let sent = 0
const checkpoints: Checkpoint[] = []

const membersAt = (rule: Rule, atMs: number) =>
  new Set(people.filter((person) => isMember(rule, person, atMs)).map(({ userId }) => userId))

async function add(lives: { userId: string; events: OracleEvent[]; traits?: Record<string, unknown> }[]) {
  const events = lives.flatMap(({ userId, events, traits }) => [
    ...(traits === undefined
      ? []
      : [
          normalEvent({
            ...{ userId, type: 'identify', name: '', time: START - 48 * HOUR, traits },
            properties: JSON.stringify(traits),
          }),
        ]),
    ...asNormal(events, { userId }),
  ])
  sent += events.length
  await world.sender.send(persist, [normalBatch(events)])
  await waitFor(async () => (await world.sql`select count(*)::int as n from events`)[0]?.n === sent)
  for (const { userId, events } of lives) await storeSent(world.sql, events, { userId })
}

async function pass(profileIds: number[], reason: 'event' | 'time' | 'late') {
  const reasons = new Map(profileIds.map((profileId) => [profileId, reason]))
  const input = { shards: world.config.shards, reasons, clock, secret: SECRET }
  await runPass({ sql: world.sql, home: world.sql }, catalog, input)
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 5))

/** `isMade` = the segments are there. */
async function remember(isMade = true) {
  await pause()
  const [row] = await world.sql<{ ms: number }[]>`
    select round(extract(epoch from clock_timestamp()) * 1000)::bigint as ms`
  const members = segments.map(({ rule }) => (isMade ? membersAt(rule, clock.now()) : new Set<string>()))
  checkpoints.push({ at: new Date(row?.ms ?? 0).toISOString(), members })
  await pause()
}

beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
  await world.run(persistPool)
  await storeContact(world.sql)
  const lives = fc.sample(life, { seed, numRuns: PEOPLE })
  const facts = fc.sample(traits, { seed, numRuns: PEOPLE })
  const inLists = fc.sample(lists, { seed, numRuns: PEOPLE })
  await add(lives.map((events, i) => ({ userId: `user-${i}`, events, traits: facts[i] ?? {} })))
  for (const list of LISTS) {
    const ids = inLists.flatMap((of, i) => (of.includes(list) ? [`user-${i}`] : []))
    await replaceList(world.sql, list, inPieces([...ids, 'nobody']))
  }
  await storeMetrics(world.sql, new Date(START))
  const rows = await world.sql<{ profile_id: number; value: string }[]>`
    select profile_id, value from identities`
  people = rows.map(({ profile_id: profileId, value: userId }) => {
    const i = Number(userId.slice('user-'.length))
    return {
      ...{ userId, profileId, ...MEASURED, firstSeen: START - 48 * HOUR },
      traits: facts[i] ?? {},
      statements: [{ time: START - 48 * HOUR, traits: facts[i] ?? {} }],
      events: lives[i] ?? [],
      lists: inLists[i] ?? [],
    }
  })
  api = await startApi(world, { clock, config: { secret: SECRET } })

  const matches = fc.sample(ruleNode, { seed, numRuns: SEGMENTS })
  segments = matches.map((match, i) => ({ slug: `s-${i}`, segmentId: 0, rule: checkRule({ match }).rule }))
  await remember(false)
  for (const segment of segments) {
    const names = { slug: segment.slug, name: segment.slug, author: '', note: '' }
    const made = await createSegment(world.sql, { ...names, ...checkRule(segment.rule) })
    segment.segmentId = made?.segmentId ?? 0
  }
  await pass(
    people.map(({ profileId }) => profileId),
    'event',
  )
  await remember()
  const late = fc.sample(life, { seed: seed + 1, numRuns: 8 })
  const touched = people.slice(0, 8)
  await add(touched.map(({ userId }, i) => ({ userId, events: late[i] ?? [] })))
  for (const [i, person] of touched.entries()) person.events = [...person.events, ...(late[i] ?? [])]
  await pass(
    touched.map(({ profileId }) => profileId),
    'late',
  )
  await remember()
  clock.set(START + 7 * HOUR + 1)
  await pass(await takeDueTimers(world.sql, clock.now(), { leaseMs: 1000, limit: 1000 }), 'time')
  await remember()
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

type Moves = { entered: string[]; left: string[]; stayed: number }

function expected(was: Set<string>, is: Set<string>): Moves {
  return {
    entered: [...is].filter((userId) => !was.has(userId)).sort(),
    left: [...was].filter((userId) => !is.has(userId)).sort(),
    stayed: [...is].filter((userId) => was.has(userId)).length,
  }
}

/** What the API says: people two a page, held against its own counts. */
async function found(slug: string, query: Record<string, string>): Promise<Moves> {
  const path = `/api/v1/segments/${slug}/difference`
  const { status, body } = await api.get(`${path}?${new URLSearchParams(query)}`)
  expect([status, body.complete]).toEqual([200, true])
  const moved: { userId: string; op: string }[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const page = new URLSearchParams({ ...query, limit: '2', ...(cursor === '' ? {} : { cursor }) })
    const answer = await api.get(`${path}/people?${page}`)
    expect(answer.status).toBe(200)
    expect(answer.body.data.length).toBeLessThanOrEqual(2)
    moved.push(...answer.body.data)
    cursor = answer.body.nextCursor
  }
  const whose = (op: string) => moved.filter((one) => one.op === op).map((one) => one.userId)
  const [entered, left] = [whose('enter').sort(), whose('exit').sort()]
  expect([body.entered, body.left]).toEqual([entered.length, left.length])
  return { entered, left, stayed: body.stayed }
}

test('between any two dates it is as it was known then, with those of before the segment was made', async () => {
  let moves = 0
  for (const [i, { slug, rule }] of segments.entries())
    for (const from of checkpoints)
      for (const to of checkpoints) {
        if (from === to) continue
        const wanted = expected(from.members[i] ?? new Set(), to.members[i] ?? new Set())
        moves += wanted.entered.length + wanted.left.length
        const says = await found(slug, { from: from.at, to: to.at })
        expect(says, `MILLRACE_TEST_SEED=${seed} ${JSON.stringify(rule)}`).toEqual(wanted)
      }
  expect(moves).toBeGreaterThan(SEGMENTS)
})

test('as known now it is what the rule says of both dates, late events counted at their own time', async () => {
  for (const { slug, rule } of segments)
    for (const [fromMs, toMs] of [
      [START - 5 * HOUR, START],
      [START, clock.now()],
      [clock.now(), START - HOUR],
    ] as const) {
      const query = { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString(), known: 'now' }
      const wanted = expected(membersAt(rule, fromMs), membersAt(rule, toMs))
      const says = await found(slug, query)
      expect(says, `MILLRACE_TEST_SEED=${seed} ${JSON.stringify([query, rule])}`).toEqual(wanted)
    }
})

test('who was in at a date, as known now, comes in pages with when the rule became true', async () => {
  let shown = 0
  for (const { slug, rule } of segments)
    for (const atMs of [START - 2 * HOUR, START, START + 3 * HOUR]) {
      const why = `MILLRACE_TEST_SEED=${seed} ${JSON.stringify([atMs, rule])}`
      const rows: { userId: string; enteredAt: string }[] = []
      for (let cursor: string | null = ''; cursor !== null; ) {
        const page = new URLSearchParams({ at: new Date(atMs).toISOString(), limit: '5' })
        if (cursor !== '') page.set('cursor', cursor)
        const { status, body } = await api.get(`/api/v1/segments/${slug}/members?${page}`)
        expect(status, why).toBe(200)
        rows.push(...body.data)
        cursor = body.nextCursor
      }
      expect(rows.map((row) => row.userId).sort(), why).toEqual([...membersAt(rule, atMs)].sort())
      for (const { userId, enteredAt } of rows) {
        const person = people.find((one) => one.userId === userId)
        if (person === undefined) throw new Error(why)
        const enteredMs = Date.parse(enteredAt)
        expect(isMember(rule, person, enteredMs), `${why} ${userId} ${enteredAt}`).toBe(true)
        if (enteredMs > START - 48 * HOUR)
          expect(isMember(rule, person, enteredMs - 1), `${why} ${userId} ${enteredAt}`).toBe(false)
        shown += 1
      }
    }
  expect(shown).toBeGreaterThan(SEGMENTS)
  const both = 'at=2026-11-01T00:00:00Z&knownAt=2026-11-01T00:00:00Z'
  expect((await api.get(`/api/v1/segments/s-0/members?${both}`)).status).toBe(400)
})

test('of two versions it is what both rules say now, whichever is live', async () => {
  for (const [i, { slug, segmentId, rule }] of segments.entries()) {
    const other = segments[(i + 1) % SEGMENTS]?.rule ?? rule
    await addVersion(world.sql, segmentId, { author: '', note: '', ...checkRule(other) })
    const [before, after] = [membersAt(rule, clock.now()), membersAt(other, clock.now())]
    const why = `MILLRACE_TEST_SEED=${seed} ${JSON.stringify([rule, other])}`
    expect(await found(slug, { from: '1', to: '2' }), why).toEqual(expected(before, after))
    expect(await found(slug, { from: '2', to: '1' }), why).toEqual(expected(after, before))
    expect(await found(slug, { from: '1' }), why).toEqual(expected(before, after))
  }
})

test('ends that do not go together, and what is not there, are refused with the field', async () => {
  const problem = async (query: string, slug = 's-0') => {
    const { status, body } = await api.get(`/api/v1/segments/${slug}/difference?${query}`)
    return [status, body.field]
  }
  expect(await problem('from=1&to=2026-11-01T00:00:00Z')).toEqual([400, 'to'])
  expect(await problem('from=2026-11-01T00:00:00Z&to=2')).toEqual([400, 'to'])
  expect(await problem('from=yesterday')).toEqual([400, 'from'])
  expect(await problem('from=2026-11-01')).toEqual([400, 'from'])
  expect(await problem('to=2')).toEqual([400, undefined])
  expect(await problem('from=1&to=2&known=then')).toEqual([400, 'known'])
  expect(await problem('from=1&to=9')).toEqual([404, 'to'])
  expect(await problem('from=7')).toEqual([404, 'from'])
  expect(await problem('from=1', 'none')).toEqual([404, 'segment'])
  expect(await problem('from=1&cursor=abc')).toEqual([400, 'cursor'])
  await archiveSegment(world.sql, segments[0]?.segmentId ?? 0)
  expect(await problem('from=2026-11-01T00:00:00Z&known=now')).toEqual([404, 'segment'])
  expect(await problem('from=2026-11-01T00:00:00Z')).toEqual([200, undefined])
})
