// Segments against an oracle that evaluates every rule by plain loops over all events: what Postgres has, and what Redis serves.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { readServed, writeServed } from '../../../cache/memberships.ts'
import { NEVER } from '../../../domain/segments/timed.ts'
import { checkRule } from '../../../domain/segments/version.ts'
import { persist } from '../../../queues/pipeline.ts'
import { manualClock } from '../../../runtime/clock.ts'
import type { TouchedUsers } from '../../../schema/jobs.ts'
import type { Rule, RuleNode } from '../../../schema/rule.ts'
import { replaceList } from '../../../store/lists.ts'
import { nextTimer, takeDueTimers } from '../../../store/memberships.ts'
import { createSegment } from '../../../store/segments.ts'
import { createSegmentCatalog } from '../../../workers/live-segments.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { runPass } from '../../../workers/segment/pass.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { inPieces } from '../../support/list-pieces.ts'
import { HOUR, LISTS, life, lists, START, statements, traits } from '../../support/random-lives.ts'
import { MEASURED } from '../../support/random-metrics.ts'
import { ruleNode } from '../../support/random-rules.ts'
import {
  isMember,
  type OracleEvent,
  type OraclePerson,
  type OracleStatement,
  traitsAt,
} from '../../support/segment-oracle.ts'
import { asNormal, SECRET, storeContact, storeSent } from '../../support/stored-contact.ts'
import { storeMetrics } from '../../support/stored-metrics.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

// Every instant is compared for everybody by the naive evaluator; on a slow machine beside other work that took one test
// more than thirty seconds.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const PEOPLE = 24
// Another one every run; a failure names it.
const seed = Number(process.env.MILLRACE_TEST_SEED ?? Date.now() % 2 ** 31)

let world: World
const clock = manualClock(START)
const catalog = createSegmentCatalog()
let segments: { segmentId: number; rule: Rule }[] = []
const people = new Map<number, OraclePerson & { userId: string }>()
let sent = 0

beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
  await world.run(persistPool)
  await storeContact(world.sql)
  const lives = fc.sample(life, { seed, numRuns: PEOPLE })
  const facts = fc.sample(traits, { seed, numRuns: PEOPLE })
  await add(lives.map((events, i) => ({ userId: `user-${i}`, events, traits: facts[i] ?? {} })))
  const said = fc.sample(statements, { seed: seed + 3, numRuns: PEOPLE })
  // Half of it comes late, after what was said later.
  for (const half of [1, 0])
    await add(
      said.map((all, i) => {
        const own = all.map((one, at) => ({ ...one, id: idOf(`user-${i}`, at) }))
        return { userId: `user-${i}`, events: [], statements: own.filter((_, at) => at % 2 === half) }
      }),
    )
  const inLists = fc.sample(lists, { seed, numRuns: PEOPLE })
  for (const list of LISTS) {
    const ids = inLists.flatMap((of, i) => (of.includes(list) ? [`user-${i}`] : []))
    await replaceList(world.sql, list, inPieces([...ids, 'nobody']))
  }
  await storeMetrics(world.sql, new Date(START))
  const rows = await world.sql<
    { profile_id: number; value: string }[]
  >`select profile_id, value from identities`
  for (const row of rows) {
    const i = Number(row.value.slice('user-'.length))
    people.set(row.profile_id, {
      userId: row.value,
      ...told([{ time: START - 48 * HOUR, traits: facts[i] ?? {} }, ...(said[i] ?? [])]),
      events: lives[i] ?? [],
      profileId: row.profile_id,
      lists: inLists[i] ?? [],
      ...MEASURED,
      firstSeen: START - 48 * HOUR,
    })
  }
})
afterAll(() => world?.close())

/** Traits and all that made them. */
function told(all: OracleStatement[]) {
  return { statements: all, traits: traitsAt({ statements: all }, Number.POSITIVE_INFINITY) }
}

/** Of one instant the later statement has the larger one. */
const idOf = (userId: string, at: number) => `${userId}-${String(at).padStart(4, '0')}`

type Added = {
  userId: string
  events: OracleEvent[]
  traits?: Record<string, unknown>
  statements?: (OracleStatement & { id: string })[]
}

let made = 0

/** Starts over at START with these segments alone; everybody has been evaluated once. */
async function startOver(rules: RuleNode[]) {
  clock.set(START)
  await world.sql`update segments set archived_at = now()`
  for (const table of ['memberships', 'membership_changes', 'segment_timers'])
    await world.sql`delete from ${world.sql(table)}`
  segments = []
  for (const match of rules) {
    made += 1
    const checked = checkRule({ match })
    const names = { slug: `s-${made}`, name: `${made}`, author: '', note: '' }
    const row = await createSegment(world.sql, { ...names, ...checked })
    segments.push({ segmentId: row?.segmentId ?? 0, rule: checked.rule })
  }
  await pass([...people.keys()], 'event')
}

/** Puts events (and traits) through the real persist pool. */
async function add(lives: Added[]) {
  const events = lives.flatMap(({ userId, events, traits, statements = [] }) => [
    ...statements.map(({ id, ...rest }) =>
      normalEvent({
        ...{ userId, type: 'identify', name: '', messageId: id, ...rest },
        properties: JSON.stringify(rest.traits),
      }),
    ),
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

async function pass(profileIds: number[], reason: TouchedUsers['reason']) {
  const reasons = new Map(profileIds.map((profileId) => [profileId, reason]))
  const input = { shards: world.config.shards, reasons, clock, secret: SECRET }
  const { served } = await runPass({ sql: world.sql, home: world.sql }, catalog, input)
  await writeServed(world.cache, served.stamp, served.people)
}

/** When the memberships of everybody end that Redis serves. */
async function readEnds() {
  const profileIds = [...people.keys()]
  const values = await Promise.all(profileIds.map((profileId) => readServed(world.cache, profileId)))
  const entries = values.flatMap((value, i) =>
    value?.kind === 'members'
      ? [...value.ends].map(([segmentId, endMs]) => [`${segmentId}/${profileIds[i]}`, endMs] as const)
      : [],
  )
  return new Map<string, number>(entries)
}

/** Every membership in Postgres and in Redis is what the oracle says of this instant, and the other way round. */
async function expectOracleAt(atMs: number, when: string) {
  const rows = await world.sql<{ segment_id: number; profile_id: number }[]>`
    select segment_id, profile_id from memberships`
  const members = new Set(rows.map((row) => `${row.segment_id}/${row.profile_id}`))
  const ends = await readEnds()
  for (const { segmentId, rule } of segments) {
    for (const [profileId, person] of people) {
      const expected = isMember(rule, person, atMs)
      const name = `${segmentId}/${profileId}`
      const isServed = (ends.get(name) ?? 0) > atMs
      if (members.has(name) === expected && isServed === expected) continue
      const rest = {
        isServed,
        end: ends.get(name),
        at: new Date(atMs).toISOString(),
        rule: rule.match,
        person,
      }
      throw new Error(
        `${when}: ${person.userId} should ${expected ? '' : 'not '}be in segment ${segmentId} (MILLRACE_TEST_SEED=${seed})\n${JSON.stringify(rest, null, 1)}`,
      )
    }
  }
  return members.size
}

/** Runs due timers one instant after the other; just before each of them nothing may have changed by time. */
async function stepTimers(steps: number) {
  for (let step = 0; step < steps; step++) {
    const next = await nextTimer(world.sql)
    if (next === null) return
    await expectOracleAt(next - 1, `just before timer ${step}`)
    clock.set(next)
    await pass(await takeDueTimers(world.sql, next, { leaseMs: 1000, limit: 1000 }), 'time')
    await expectOracleAt(next, `at timer ${step}`)
  }
}

test('forty segments at once are what the plain meaning of their rules says, from timer to timer', async () => {
  await startOver(fc.sample(ruleNode, { seed, numRuns: 40 }))
  const members = await expectOracleAt(START, 'first pass')
  expect(members).toBeGreaterThan(PEOPLE)
  expect(members).toBeLessThan(PEOPLE * 40)
  await stepTimers(20)
})

test('late events count at their own time at once', async () => {
  const late = fc.sample(life, { seed: seed + 1, numRuns: 8 })
  const touched = [...people].slice(0, 8)
  const said = fc.sample(statements, { seed: seed + 4, numRuns: 8 })
  await add(
    touched.map(([, { userId, statements = [] }], i) => ({
      ...{ userId, events: late[i] ?? [] },
      statements: (said[i] ?? []).map((one, at) => ({ ...one, id: idOf(userId, statements.length + at) })),
    })),
  )
  for (const [i, [, person]] of touched.entries()) {
    person.events = [...person.events, ...(late[i] ?? [])]
    Object.assign(person, told([...(person.statements ?? []), ...(said[i] ?? [])]))
  }
  await pass(
    touched.map(([profileId]) => profileId),
    'late',
  )
  await expectOracleAt(clock.now(), 'after late events')
  await stepTimers(12)
})

test('after an outage of hours one pass over the due timers is enough', async () => {
  const now = clock.now() + 7 * HOUR + 1
  clock.set(now)
  await pass(await takeDueTimers(world.sql, now, { leaseMs: 1000, limit: 1000 }), 'time')
  await expectOracleAt(now, 'after the outage')
  await stepTimers(12)
})

test('every membership has exactly one entry that was not left', async () => {
  const [row] = await world.sql<{ open: number; members: number; doubled: number }[]>`
    select (select sum(case op when 'enter' then 1 else -1 end) from membership_changes)::int as open,
      (select count(*) from memberships)::int as members,
      (select count(*) from (
        select op, lag(op) over (partition by profile_id, segment_id order by change_id) as before from membership_changes
      ) c where op = before)::int as doubled`
  expect(row?.open).toBe(row?.members)
  expect(row?.doubled).toBe(0)
})

// With many segments nearly every instant is some segment's timer, which would hide a timer that another one forgot.
test('a segment that is alone sets all the timers it needs', async () => {
  for (const rule of fc.sample(ruleNode, { seed: seed + 2, numRuns: 60 })) {
    await startOver([rule])
    await expectOracleAt(START, 'alone')
    await stepTimers(5)
    const later = (await nextTimer(world.sql)) ?? clock.now() + 48 * HOUR
    await expectOracleAt(later - 1, 'until its next timer')
  }
})

test('an event a few minutes ahead counts when its time has come', async () => {
  const [profileId = 0, person] = [...people][0] ?? []
  const ahead: OracleEvent = { type: 'track', name: 'Tick', time: START + 100_000, properties: {} }
  await add([{ userId: person?.userId ?? '', events: [ahead] }])
  await startOver([{ k: 'agg', event: 'Tick', agg: 'count', window: { k: 'lifetime' }, op: 'gte', value: 1 }])
  person?.events.push(ahead)
  await expectOracleAt(START, 'before its time')
  expect(await nextTimer(world.sql)).toBe(ahead.time)
  await stepTimers(1)
  expect(await world.sql`select profile_id from memberships`).toEqual([{ profile_id: profileId }])
})

test('what Redis serves ends at the instant of the oracle, with no pass in between', async () => {
  await startOver(fc.sample(ruleNode, { seed: seed + 3, numRuns: 60 }))
  let ended = 0
  for (const [name, endMs] of await readEnds()) {
    const [segmentId, profileId] = name.split('/').map(Number)
    const rule = segments.find((one) => one.segmentId === segmentId)?.rule
    const person = people.get(profileId ?? 0)
    if (rule === undefined || person === undefined) throw new Error(`Redis serves ${name}, which is nobody's`)
    if (endMs === NEVER) continue
    ended += 1
    const around = [isMember(rule, person, endMs - 1), isMember(rule, person, endMs)]
    expect(around, `${name} at ${endMs} (MILLRACE_TEST_SEED=${seed})`).toEqual([true, false])
  }
  expect(ended).toBeGreaterThan(0)
})
