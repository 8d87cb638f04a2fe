// The drift gauge: a wrong membership is counted, kept and mended; what is only on its way is not.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { checkRule } from '../../../domain/segments/version.ts'
import { queueNames } from '../../../queues/define.ts'
import { sampleQueues } from '../../../queues/depth.ts'
import { persist, segment } from '../../../queues/pipeline.ts'
import { manualClock } from '../../../runtime/clock.ts'
import type { RuleNode } from '../../../schema/rule.ts'
import { createSegment } from '../../../store/segments.ts'
import { createSegmentCatalog } from '../../../workers/live-segments.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { checkDrift } from '../../../workers/schedule/drift.ts'
import { runPass } from '../../../workers/segment/pass.ts'
import { segmentPool } from '../../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../../support/api-server.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { NEVER, scheduleDeps } from '../../support/schedule-deps.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

const HOUR = 3_600_000
/** Segments were made an hour ago. */
const NOW = Date.now() + HOUR
const view = { k: 'agg' as const, event: 'Viewed', agg: 'count' as const, op: 'gte' as const, value: 2 }
const RULES: Record<string, RuleNode> = {
  gold: { k: 'trait', path: 'plan', op: 'eq', value: 'gold' },
  lookers: { ...view, window: { k: 'rolling', last: 'P30D' } },
  idle: { k: 'not', of: { ...view, window: { k: 'rolling', last: 'PT2H' } } },
}

let world: World
let api: ApiServer
let clock = manualClock(NOW)
beforeAll(async () => {
  world = await testWorld()
  api = await startApi(world)
  await world.sql`insert into sources (name) values ('shop')`
  const old = { receivedAt: NOW - HOUR }
  const events = Array.from({ length: 12 }, (_, i) => [
    normalEvent({
      ...old,
      userId: `user-${i}`,
      type: 'identify',
      name: '',
      time: NOW - 9 * HOUR,
      traits: { plan: i % 2 ? 'gold' : 'free' },
    }),
    ...Array.from({ length: i % 4 }, (_, n) =>
      normalEvent({ ...old, userId: `user-${i}`, name: 'Viewed', time: NOW - HOUR - n }),
    ),
  ]).flat()
  const pool = await world.run(persistPool)
  await world.sender.send(persist, [normalBatch(events)])
  await waitFor(async () => (await world.sql`select 1 from events`).length === events.length)
  await pool.stop()
  for (const [slug, match] of Object.entries(RULES))
    await createSegment(world.sql, { slug, name: slug, author: '', note: '', ...checkRule({ match }) })
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

/** Everybody evaluated, nothing on its way. */
beforeEach(async () => {
  clock = manualClock(NOW)
  await drainSegment()
  await world.sql`delete from segment_drift`
  await world.sql`update segment_runs set state = 'done', finished_at = now()`
  const rows = await world.sql<{ profile_id: number }[]>`select profile_id from profiles`
  const reasons = new Map(rows.map((row) => [row.profile_id, 'event' as const]))
  await runPass({ sql: world.sql, home: world.sql }, createSegmentCatalog(), {
    shards: world.config.shards,
    reasons,
    clock,
  })
})
afterEach(drainSegment)

/** Jobs of the segment queues, as Redis has them now. */
async function segmentJobs(): Promise<number> {
  const names = queueNames(segment, world.config.shards)
  const { lanes } = await sampleQueues(world.producer, world.namespace, names, Date.now())
  return [...lanes.values()].reduce((sum, lane) => sum + lane.waiting + lane.active + lane.delayed, 0)
}

/** Lets the pool do all that is waiting for it. */
async function drainSegment() {
  if ((await segmentJobs()) === 0) return
  const pool = await world.run(segmentPool, { clock })
  await waitFor(async () => (await segmentJobs()) === 0)
  await pool.stop()
}

const look = (over: Partial<ReturnType<typeof scheduleDeps>> = {}) =>
  checkDrift({ ...scheduleDeps(world, NOW), clock, ...over }, NEVER, { pauseMs: 200 })
const profileOf = async (userId: string) =>
  Number((await world.sql`select profile_id from identities where value = ${userId}`)[0]?.profile_id)
const driftOf = async (segment: string) => {
  const { values } = await world.metrics.segmentDrift.get()
  return values.find((one) => one.labels.segment === segment)?.value
}
const members = async (slug: string) => {
  const rows =
    await world.sql`select p.user_id from memberships m join segments s using (segment_id) join profiles p using (bucket, profile_id) where slug = ${slug} order by 1`
  return rows.map((row) => row.user_id)
}
const putIn = (slug: string, profileId: number) => world.sql`
  insert into memberships (bucket, segment_id, profile_id, entered_at, version, change_id)
  select ${profileId % 1024}, segment_id, ${profileId}, now(), 1, 1 from segments where slug = ${slug}`
const takeOut = (slug: string, profileId: number) => world.sql`
  delete from memberships using segments s where memberships.segment_id = s.segment_id and slug = ${slug} and profile_id = ${profileId}`

test('where nothing is wrong nothing is found, and the counter is there at 0', async () => {
  expect((await members('lookers')).length).toBeGreaterThan(3)
  expect(await look()).toEqual({ people: 12, segments: 3, unsupported: 0, unsettled: 0, drifted: 0 })
  expect(await driftOf('gold')).toBe(0)
  expect(await world.sql`select 1 from segment_drift`).toEqual([])
})

test('a membership that is missing and one too many are counted, kept and mended', async () => {
  const right = await members('gold')
  const [missing, extra] = [await profileOf('user-1'), await profileOf('user-2')]
  await takeOut('gold', missing)
  await putIn('gold', extra)
  expect(await look()).toMatchObject({ drifted: 2, unsettled: 0 })
  expect(await driftOf('gold')).toBe(2)
  const page = await api.call('GET', '/api/v1/segment-drift?limit=1')
  expect(page.status).toBe(200)
  const rest = await api.call('GET', `/api/v1/segment-drift?cursor=${page.body.nextCursor}`)
  const rows = [...page.body.data, ...rest.body.data]
  expect(rest.body.nextCursor).toBe(null)
  expect(rows.sort((a, b) => a.stored - b.stored)).toMatchObject([
    {
      slug: 'gold',
      version: 1,
      profileId: missing,
      expected: true,
      stored: false,
      rule: { match: RULES.gold },
    },
    {
      slug: 'gold',
      version: 1,
      profileId: extra,
      expected: false,
      stored: true,
      asOf: new Date(NOW).toISOString(),
    },
  ])
  await drainSegment()
  expect(await members('gold')).toEqual(right)
  const changes =
    await world.sql`select op, reason from membership_changes where profile_id in ${world.sql([missing, extra])} order by change_id desc limit 2`
  expect(changes.map((row) => row.reason)).toEqual(['backfill', 'backfill'])
  expect(await look()).toMatchObject({ drifted: 0, unsettled: 0 })
})

test('whoever was merged away and is still in a segment is found', async () => {
  const profileId = 7 * 1024 + 5
  await world.sql`
    insert into profiles (bucket, profile_id, first_id, first_seen, last_seen, merged_into)
    values (5, ${profileId}, 'gone', at_ms(${NOW - 9 * HOUR}), at_ms(${NOW - 9 * HOUR}), ${await profileOf('user-1')})`
  expect(await look()).toMatchObject({ people: 13, drifted: 0 })
  await putIn('idle', profileId)
  expect(await look()).toMatchObject({ drifted: 1 })
  await drainSegment()
  expect(await world.sql`select 1 from memberships where profile_id = ${profileId}`).toEqual([])
  await world.sql`delete from profiles where profile_id = ${profileId}`
})

test('an event that is stored and not yet evaluated is no drift, whenever it was received', async () => {
  const pool = await world.run(persistPool)
  const before = (await world.sql`select 1 from events`).length
  const viewed = (userId: string, receivedAt: number) =>
    [1, 2].map((n) => normalEvent({ userId, name: 'Viewed', time: NOW - 60_000 - n, receivedAt }))
  // The second one looks like a dead letter that was sent again: received long ago.
  await world.sender.send(persist, [
    normalBatch([...viewed('user-0', NOW - 1000), ...viewed('user-4', NOW - HOUR)]),
  ])
  await waitFor(async () => (await world.sql`select 1 from events`).length === before + 4)
  await waitFor(async () => (await segmentJobs()) > 0)
  await pool.stop()
  expect(await members('lookers')).not.toContain('user-0')
  expect(await look()).toMatchObject({ drifted: 0, unsettled: 4 })
  await drainSegment()
  expect(await members('lookers')).toContain('user-4')
  expect(await look()).toMatchObject({ drifted: 0, unsettled: 0 })
})

test('a timer that is due is no drift, one that was lost is', async () => {
  const lookers = await members('lookers')
  clock.set(NOW + 30 * 24 * HOUR)
  expect(await look()).toMatchObject({ drifted: 0, unsettled: 0 })
  await world.sql`delete from segment_timers`
  expect((await look()).drifted).toBeGreaterThanOrEqual(lookers.length)
  expect(await driftOf('lookers')).toBe(lookers.length)
})

test('a segment whose people are still being evaluated for a change is left out, and so is one that SQL cannot say', async () => {
  await takeOut('gold', await profileOf('user-1'))
  const [gold] = await world.sql<
    { segment_id: number }[]
  >`select segment_id from segments where slug = 'gold'`
  const goldId = gold?.segment_id ?? 0
  await world.sql`
    insert into segment_runs (segment_id, version, reason, source, segment_ids, state)
    values (${goldId}, 1, 'rule_changed', 'everybody', array[${goldId}::int], 'running')`
  expect(await look()).toMatchObject({ segments: 2, drifted: 0 })
  await world.sql`update segment_runs set state = 'done', finished_at = now()`
  const young = await look({ clock: manualClock(Date.now()) })
  expect(young).toMatchObject({ segments: 0, drifted: 0 })
  const [kept] =
    await world.sql`select rule from segment_versions v join segments s using (segment_id) where slug = 'gold'`
  await world.sql`update segment_versions set rule = '{"match": {"k": "horoscope"}}' where segment_id = (select segment_id from segments where slug = 'gold')`
  expect(await look()).toMatchObject({ segments: 3, unsupported: 1, drifted: 0 })
  await world.sql`update segment_versions set rule = ${kept?.rule} where segment_id = (select segment_id from segments where slug = 'gold')`
  expect(await look()).toMatchObject({ unsupported: 0, drifted: 1 })
})

test('all people of a shard come round, a few each time, and again from the beginning', async () => {
  const added = Array.from({ length: 23 }, (_, i) => (i + 1) * 1024 + 3)
  for (const profileId of added) {
    await world.sql`
      insert into profiles (bucket, profile_id, first_id, first_seen, last_seen)
      values (3, ${profileId}, ${`made-${profileId}`}, at_ms(${NOW - 9 * HOUR}), at_ms(${NOW - 9 * HOUR}))`
    await putIn('gold', profileId)
    await putIn('idle', profileId)
  }
  await world.sql`delete from settings where name = 'segment_drift_cursor'`
  const shard0 = await world.sql`select 1 from profiles where bucket < 256`
  const seen = async () =>
    (await world.sql`select distinct profile_id from segment_drift where segment_id = 1`).map(
      (row) => row.profile_id,
    )
  for (let run = 1; run <= Math.ceil(shard0.length / 5); run++) await look({ send: async () => {} })
  expect((await seen()).sort((a, b) => a - b)).toEqual(added)
  await world.sql`delete from segment_drift`
  expect(await look({ send: async () => {} })).toMatchObject({ drifted: expect.any(Number) })
  expect((await seen()).length).toBeGreaterThan(0)
  expect(await look({ config: { ...world.config, driftPeoplePerMillion: 0 } })).toMatchObject({ people: 0 })
  await world.sql`delete from memberships where profile_id in ${world.sql(added)}`
  await world.sql`delete from profiles where profile_id in ${world.sql(added)}`
})
