// The persist pool against a plain definition: any order and grouping of the same events gives the same rows, on one
// Postgres server and on several, where people who turn out to be one have lived on two.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Mention } from '../../../domain/identity.ts'
import { SESSION_GAP_MS } from '../../../domain/sessions.ts'
import { persist } from '../../../queues/pipeline.ts'
import type { NormalEvent } from '../../../schema/event.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { groupsOf, peopleOf } from '../../support/identity-oracle.ts'
import { story } from '../../support/random-identities.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

// Another one every run; a failure names it.
const seed = Number(process.env.MILLRACE_TEST_SEED ?? Date.now() % 2 ** 31)
const STORIES = 40
const START = Date.UTC(2026, 10, 18, 12)

let world: World
let mentions: Mention[] = []
let events: NormalEvent[] = []

/** Ids of every story are its own; times lie 20 minutes apart, so that some gaps end a session and some do not. */
function told(story: Mention[], number: number): Mention[] {
  const own = (id: string | undefined) =>
    id === undefined || id === 'guest' || id.startsWith('0000') ? id : `s${number}-${id}`
  return story.map((mention) => ({
    ...(mention.userId === undefined ? {} : { userId: own(mention.userId) }),
    ...(mention.anonymousId === undefined ? {} : { anonymousId: own(mention.anonymousId) }),
    ...(mention.previousId === undefined ? {} : { previousId: own(mention.previousId) }),
    time: START + mention.time * 20 * 60_000,
    messageId: `s${number}-${mention.messageId}`,
  }))
}

function eventOf({ userId, anonymousId, previousId, time, messageId }: Mention, i: number): NormalEvent {
  const ids = {
    ...(userId === undefined ? {} : { userId }),
    ...(anonymousId === undefined ? {} : { anonymousId }),
    ...(previousId === undefined ? {} : { previousId }),
  }
  const traits = { [`trait-${i % 3}`]: i % 7 === 0 ? null : i, [`other-${i % 2}`]: `v${i}` }
  if (previousId !== undefined) return normalEvent({ ...ids, time, messageId, type: 'alias', name: '' })
  if (i % 2 === 0 || userId === undefined) return normalEvent({ ...ids, time, messageId })
  const said = { traits, properties: JSON.stringify(traits) }
  return normalEvent({ ...ids, ...said, time, messageId, type: 'identify', name: '' })
}

describe.each([1, 2, 3])('people on %i servers', (servers) => {
  beforeAll(async () => {
    world = await testWorld({}, { servers })
    await world.sql`insert into sources (name) values ('shop')`
    // Several processes with small groups: the same people are in the hands of many at once.
    for (let i = 0; i < 4; i++) await world.run(persistPool, { concurrency: 2 })
    const stories = fc.sample(story, { seed, numRuns: STORIES })
    // Whoever is named by an id that means nobody would join all stories: alone it is a user like any other.
    mentions = stories.flatMap(told).filter((one) => one.userId !== 'guest' || one.anonymousId !== undefined)
    events = mentions.map(eventOf)
    const [shuffled = []] = fc.sample(fc.shuffledSubarray(events, { minLength: events.length }), {
      seed,
      numRuns: 1,
    })
    const batches = []
    for (let at = 0; at < shuffled.length; at += 7) batches.push(shuffled.slice(at, at + 7))
    // Some come twice, and all at once to several groups.
    const all = [...batches, ...batches.filter((_, i) => i % 5 === 0)].map((batch) => normalBatch(batch))
    await world.sender.send(persist, all)
    await waitFor(async () => (await rowsOf()).length === events.length, {
      timeoutMs: 50_000,
      what: `all ${events.length} events (seed ${seed})`,
    })
    await waitFor(() => world.depth.depthOf('persist').active + world.depth.depthOf('persist').waiting === 0)
  })
  afterAll(() => world?.close())

  type Row = { message_id: string; profile_id: number; user_id: string | null; anonymous_id: string | null }
  const rowsOf = () =>
    world.onAll((sql) => sql<Row[]>`select message_id, profile_id, user_id, anonymous_id from events`)

  test('hundreds of messages in scrambled groups at once make the same people as their plain meaning', async () => {
    const found = new Map((await rowsOf()).map((row) => [row.message_id, row.profile_id]))
    expect(groupsOf(found), `seed ${seed}`).toEqual(groupsOf(peopleOf(mentions)))
  })

  test('nobody is left behind: every row is where its id points, and merged profiles hold nothing', async () => {
    const identities = await world.sql<{ id: string; profile_id: number }[]>`
    select kind || ' ' || value as id, profile_id from identities`
    const profileOf = new Map(identities.map((one) => [one.id, one.profile_id]))
    const astray = (await rowsOf()).filter(({ user_id, anonymous_id, profile_id }) => {
      const owner = user_id === null ? `1 ${anonymous_id}` : `0 ${user_id}`
      return user_id !== 'guest' && profileOf.get(owner) !== profile_id
    })
    expect(astray, `seed ${seed}`).toEqual([])
    const dead = await world.onAll(
      (sql) => sql<{ profile_id: number }[]>`
      select p.profile_id from profiles p
      where p.merged_into is not null
        and (exists (select 1 from events e where e.bucket = p.bucket and e.profile_id = p.profile_id)
          or exists (select 1 from sessions s where s.bucket = p.bucket and s.profile_id = p.profile_id))`,
    )
    expect(dead, `seed ${seed}`).toEqual([])
    const merged = await world.onAll(
      (sql) => sql<{ profile_id: number }[]>`select profile_id from profiles where merged_into is not null`,
    )
    const named = new Set(profileOf.values())
    expect(
      merged.filter((one) => named.has(one.profile_id)),
      `seed ${seed}`,
    ).toEqual([])
  })

  test('every row is on the server of its bucket range, and nothing is left between two phases of a commit', async () => {
    for (const [number, sql] of world.servers.all.entries()) {
      const ranges = await sql<{ range: number }[]>`
      select distinct bucket >> 6 as range from events
      union select bucket >> 6 from profiles union select bucket >> 6 from sessions
      union select ('x' || left(id::text, 1))::bit(4)::int from message_ids`
      expect(ranges.length).toBeGreaterThan(0)
      for (const { range } of ranges) expect(world.servers.numberOfRange(range)).toBe(number)
      const left = await sql`select gid from pg_prepared_xacts where database = current_database()`
      expect(left).toEqual([])
    }
  })

  /** Events of each profile, in time order. */
  async function livesOf(): Promise<Map<number, NormalEvent[]>> {
    const lives = new Map<number, NormalEvent[]>()
    const byId = new Map(events.map((event) => [event.messageId, event]))
    for (const row of await rowsOf()) {
      const event = byId.get(row.message_id)
      if (event !== undefined) lives.set(row.profile_id, [...(lives.get(row.profile_id) ?? []), event])
    }
    for (const life of lives.values())
      life.sort((a, b) => a.time - b.time || (a.messageId < b.messageId ? -1 : 1))
    return lives
  }

  test('sessions are those of the events in their own order', async () => {
    const expected: string[] = []
    for (const [profileId, life] of await livesOf()) {
      let start = 0
      life.forEach((event, i) => {
        const next = life[i + 1]
        if (next !== undefined && next.time - event.time <= SESSION_GAP_MS) return
        const first = life[start]
        expected.push(`${profileId} ${first?.messageId} ${first?.time} ${event.time} ${i - start + 1}`)
        start = i + 1
      })
    }
    const rows = await world.onAll(
      (sql) => sql`select profile_id, first_message_id, started_at, ended_at, events from sessions`,
    )
    const found = rows.map(
      (row) =>
        `${row.profile_id} ${row.first_message_id} ${row.started_at.getTime()} ${row.ended_at.getTime()} ${row.events}`,
    )
    expect(found.sort(), `seed ${seed}`).toEqual(expected.sort())
  })

  test('traits are those of the newest event that says each', async () => {
    const expected = new Map<number, Record<string, unknown>>()
    for (const [profileId, life] of await livesOf()) {
      const traits: Record<string, unknown> = {}
      for (const event of life) Object.assign(traits, event.traits)
      expected.set(
        profileId,
        Object.fromEntries(Object.entries(traits).filter(([, value]) => value !== null)),
      )
    }
    const rows = await world.onAll(
      (sql) => sql<{ profile_id: number; traits: Record<string, unknown> }[]>`
      select profile_id, traits from profiles where merged_into is null`,
    )
    for (const row of rows)
      expect(row.traits, `profile ${row.profile_id}, seed ${seed}`).toEqual(
        expected.get(row.profile_id) ?? {},
      )
  })

  test('first and last seen are those of the events', async () => {
    const wrong = await world.onAll(
      (sql) => sql`
      select p.profile_id, p.first_seen, e.first, p.last_seen, e.last
      from profiles p
      join (select profile_id, min(time) as first, max(time) as last from events group by profile_id) e using (profile_id)
      where p.first_seen <> e.first or p.last_seen <> e.last`,
    )
    expect(wrong, `seed ${seed}`).toEqual([])
  })
})
