// What an event costs the engine when hundreds of segments are live: passes over the same people with one segment, with two
// hundred that each ask for another event, and with two hundred that all ask for the same one; in turns, in one process, so
// that only their ratios are of interest. In a database of its own, with plans that no worker knows.

import { bucketOf } from '../../../domain/buckets.ts'
import { compileRule } from '../../../domain/segments/plan.ts'
import { checkRule } from '../../../domain/segments/version.ts'
import { migrate } from '../../../schema/migrate.ts'
import type { RuleNode } from '../../../schema/rule.ts'
import { ensureEventPartitions, numberEventNames, weekOf } from '../../../store/events.ts'
import type { LiveSegment } from '../../../store/segments.ts'
import { connectSql, type Sql } from '../../../store/sql.ts'
import type { SegmentCatalog } from '../../../workers/live-segments.ts'
import { type PassInput, runPass } from '../../../workers/segment/pass.ts'
import { questionsOf } from '../../../workers/segment-questions.ts'
import { createDatabase, dropDatabase } from '../../local/postgres.ts'
import { cpuSecondsOf, cpuSecondsOfTree, quantile } from '../measure.ts'

export const SEGMENTS = 200
/** What the project promises of these ratios. */
export const LIMITS = { disjoint: 3, shared: 8 }
const PEOPLE = 2_000
/** Of the event that is new to somebody, and of all others together. */
const EVENTS_EACH = 30
const DAY_MS = 86_400_000
const DAYS = 40
/** Profiles a pass: when all is quiet, and when it is busy. */
const SIZES = [20, 1_000]

export type Load = 'one' | 'disjoint' | 'shared'
export type ManyRow = {
  load: Load
  profilesAPass: number
  /** Wall clock, of the median pass. */
  microsecondsAnEvent: number
  /** CPU of this process, and of Postgres. */
  engineCpu: number
  postgresCpu: number
  /** To one segment with passes of the same size. */
  ratio: number
}

/** `postgresPid` = whose CPU is Postgres'. Takes about a minute. */
export async function costOfManySegments(options: {
  serverUrl: string
  postgresPid: number
  rounds: number
  say: (text: string) => void
}): Promise<ManyRow[]> {
  const name = `many_${Date.now().toString(36)}`
  await createDatabase(options.serverUrl, name)
  const url = new URL(options.serverUrl)
  url.pathname = `/${name}`
  try {
    await migrate(url.href, 'millrace')
    const sql = connectSql({
      ...{ url: url.href, namespace: 'millrace', max: 1, applicationName: 'bench-many' },
      statementTimeoutMs: 300_000,
    })
    try {
      return await measure(sql, options)
    } finally {
      await sql.end({ timeout: 5 })
    }
  } finally {
    await dropDatabase(options.serverUrl, name)
  }
}

async function measure(
  sql: Sql,
  { postgresPid, rounds, say }: { postgresPid: number; rounds: number; say: (text: string) => void },
): Promise<ManyRow[]> {
  const nowMs = Date.now()
  const loads: Load[] = ['one', 'disjoint', 'shared']
  const worlds = new Map<Load, { people: Person[]; catalog: SegmentCatalog }>()
  for (const load of loads) {
    say(`${PEOPLE} people with ${2 * EVENTS_EACH} events for ${SENTENCES[load]}`)
    worlds.set(load, { people: await fill(sql, load, nowMs), catalog: catalogOf(segmentsFor(load)) })
  }
  await sql`vacuum (analyze) events`
  await sql`vacuum (analyze) profiles`
  const spent = new Map<string, Spent>()
  for (let round = -1; round < rounds; round++) {
    for (const size of round < 0 ? SIZES.slice(-1) : SIZES) {
      for (const load of loads) {
        const { people, catalog } = worlds.get(load) ?? { people: [], catalog: catalogOf([]) }
        const key = `${load} ${size}`
        const known = spent.get(key) ?? { walls: [], engine: 0, postgres: 0, events: 0 }
        spent.set(key, known)
        // The first round enters people and warms everything up.
        const into = round < 0 ? { walls: [], engine: 0, postgres: 0, events: 0 } : known
        await passes(sql, catalog, { people: sampleOf(people, size, round), size, postgresPid, nowMs }, into)
      }
    }
  }
  return loads.flatMap((load) =>
    SIZES.map((size): ManyRow => {
      const { walls, engine, postgres, events } = spent.get(`${load} ${size}`) as Spent
      const one = quantile(spent.get(`one ${size}`)?.walls ?? [], 0.5)
      const perEvent = (seconds: number) => (seconds / events) * 1e6
      return {
        load,
        profilesAPass: size,
        microsecondsAnEvent: (quantile(walls, 0.5) / size) * 1000,
        engineCpu: perEvent(engine),
        postgresCpu: perEvent(postgres),
        ratio: quantile(walls, 0.5) / one,
      }
    }),
  )
}

const SENTENCES: Record<Load, string> = {
  one: 'one segment',
  disjoint: `${SEGMENTS} segments that each ask for another event`,
  shared: `${SEGMENTS} segments that ask for the same event`,
}

type Spent = { walls: number[]; engine: number; postgres: number; events: number }
type Person = { profileId: number; eventId: number }

/** Everybody once in the first round; then fewer passes where they are small, each round of other people. */
function sampleOf(people: Person[], size: number, round: number): Person[] {
  const wanted = round < 0 ? people.length : Math.min(people.length, size * 20)
  const from = (Math.max(0, round) * wanted) % people.length
  return [...people.slice(from), ...people.slice(0, from)].slice(0, wanted)
}

async function passes(
  sql: Sql,
  catalog: SegmentCatalog,
  {
    people,
    size,
    postgresPid,
    nowMs,
  }: { people: Person[]; size: number; postgresPid: number; nowMs: number },
  spent: Spent,
): Promise<void> {
  const engineBefore = cpuSecondsOf(process.pid)
  const postgresBefore = cpuSecondsOfTree(postgresPid)
  for (let at = 0; at < people.length; at += size) {
    const some = people.slice(at, at + size)
    const input: PassInput = {
      shards: 16,
      clock: { now: () => nowMs },
      reasons: new Map(some.map((one) => [one.profileId, 'event'])),
      eventIds: new Map(some.map((one) => [one.profileId, new Set([one.eventId])])),
    }
    const from = performance.now()
    await runPass({ sql, home: sql }, catalog, input)
    spent.walls.push(performance.now() - from)
  }
  spent.engine += cpuSecondsOf(process.pid) - engineBefore
  spent.postgres += cpuSecondsOfTree(postgresPid) - postgresBefore
  spent.events += people.length
}

/** As the catalog of a process, which also looks whether the segments are still the same. */
function catalogOf(segments: LiveSegment[]): SegmentCatalog {
  const all = { generation: 0, segments }
  const questions = questionsOf(all)
  const look = (sql: Parameters<SegmentCatalog['current']>[0]) =>
    sql`select value #>> '{}' as generation from settings where name = 'segments_generation'`
  return {
    async current(sql) {
      await look(sql)
      return all
    },
    async questions(sql) {
      await look(sql)
      return questions
    },
  }
}

const eventName = (number: number) => `Event ${number}`

/** The first looks as far back as any: how far is no part of what is compared. "Spent more than … and more than … times in the last … days", each with figures of its own. */
function segmentsFor(load: Load): LiveSegment[] {
  return Array.from({ length: load === 'one' ? 1 : SEGMENTS }, (_, i) => {
    const event = eventName(load === 'disjoint' ? i : 0)
    const window = { k: 'rolling' as const, last: `P${30 - (i % 30)}D` }
    const match: RuleNode = {
      k: 'all',
      of: [
        { k: 'agg', event, agg: 'sum', prop: 'revenue', window, op: 'gt', value: 100 + i },
        { k: 'agg', event, agg: 'count', window, op: 'gt', value: 2 + (i % 9) },
      ],
    }
    return {
      ...{ segmentId: i + 1, slug: `many-${i}`, name: '', version: 1, liveSince: 0, building: null },
      plan: compileRule(checkRule({ match }).rule),
    }
  })
}

/** People with `EVENTS_EACH` events of one name, which is new to them in every pass, and as many of others. */
async function fill(sql: Sql, load: Load, nowMs: number): Promise<Person[]> {
  const weeks = new Set(Array.from({ length: DAYS + 2 }, (_, day) => weekOf(nowMs - day * DAY_MS)))
  await ensureEventPartitions(
    sql,
    [...weeks].flatMap((week) => Array.from({ length: 16 }, (_, range) => ({ range, week }))),
  )
  const names = Array.from({ length: SEGMENTS }, (_, i) => ({
    type: 'track',
    name: eventName(i),
    sourceId: 1,
  }))
  const numbers = await numberEventNames(sql, names, 1_000)
  const numberOf = new Map(numbers.map((one) => [one.name, one.eventId]))
  const people = Array.from({ length: PEOPLE }, (_, i) => {
    const userId = `${load}-${i}`
    const bucket = bucketOf(userId)
    const own = load === 'disjoint' ? i % SEGMENTS : 0
    return { userId, bucket, profileId: (BASE[load] + i) * 1024 + bucket, own }
  })
  await sql`
    insert into profiles (bucket, profile_id, first_id, user_id, first_seen, last_seen)
    select profile_id & 1023, profile_id, user_id, user_id, at_ms(${nowMs - DAYS * DAY_MS}), at_ms(${nowMs})
    from unnest(${people.map((one) => one.profileId)}::bigint[], ${people.map((one) => one.userId)}::text[]) as p (profile_id, user_id)`
  for (const [k, isOwn] of [true, false].entries()) {
    await sql`
      insert into events (bucket, event_id, source_id, marks, profile_id, time, received_at, value, currency,
        message_id, user_id, properties, envelope)
      select profile_id & 1023,
        case when ${isOwn}::bool then event_id else ${numbers[0]?.eventId ?? 0}::int + (event_id + n * 7) % ${SEGMENTS}::int end,
        1, 0, profile_id, at_ms(${nowMs}) - (n * ${DAYS / EVENTS_EACH}::float8 + ${k / 10}::float8) * interval '1 day', now(), 1000 + n, 'USD',
        'many-' || profile_id || '-' || ${k}::int || '-' || n, user_id, '{"product_id":"p-1"}', '{}'
      from unnest(${people.map((one) => one.profileId)}::bigint[], ${people.map((one) => one.userId)}::text[],
        ${people.map((one) => numberOf.get(eventName(one.own)) ?? 0)}::int[]) as p (profile_id, user_id, event_id)
      cross join generate_series(0, ${EVENTS_EACH - 1}) as n`
  }
  return people.map(({ profileId, own }) => ({ profileId, eventId: numberOf.get(eventName(own)) ?? 0 }))
}

const BASE: Record<Load, number> = { one: 100_000, disjoint: 200_000, shared: 300_000 }
