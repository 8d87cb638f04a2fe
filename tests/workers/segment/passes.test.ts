// The rows of passes: each says what its pass has really done, one that was rolled back has none, and one that changed nothing has one.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { waitUntilDrained } from '../../../cli/demo/counts.ts'
import { shardOfProfile } from '../../../domain/buckets.ts'
import { checkRule } from '../../../domain/segments/version.ts'
import { persist } from '../../../queues/pipeline.ts'
import type { RuleNode } from '../../../schema/rule.ts'
import { listPasses } from '../../../store/segment-passes.ts'
import { createSegment } from '../../../store/segments.ts'
import { inTransaction } from '../../../store/sql.ts'
import { createSegmentCatalog } from '../../../workers/live-segments.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { type PassInput, runPass } from '../../../workers/segment/pass.ts'
import { segmentPool } from '../../../workers/segment/pool.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { testWorld, type World } from '../../support/world.ts'

const did = (event: string): RuleNode => ({
  ...{ k: 'agg', event, agg: 'count', op: 'gte', value: 1 },
  window: { k: 'rolling', last: 'P30D' },
})
const RULES: Record<string, RuleNode> = {
  lookers: did('Viewed'),
  buyers: did('Bought'),
  'lookers-and-buyers': { k: 'all', of: [did('Viewed'), did('Bought')] },
}

let world: World
beforeAll(async () => {
  // People's rows are on two servers, and so are those of the passes over them.
  world = await testWorld({}, { servers: 2 })
  await world.sql`insert into sources (name) values ('shop')`
  for (const [slug, match] of Object.entries(RULES))
    await createSegment(world.sql, { slug, name: slug, author: '', note: '', ...checkRule({ match }) })
  await world.run(persistPool)
  await world.run(segmentPool)
})
afterAll(() => world?.close())

const rows = async () => {
  const all = await listPasses(world.servers, { shard: undefined, after: undefined, limit: 1_000 })
  return all.toReversed()
}
const sum = (numbers: number[]) => numbers.reduce((total, one) => total + one, 0)
const profileIds = async () =>
  (await world.onAll((sql) => sql<{ id: number }[]>`select profile_id as id from profiles`)).map(
    ({ id }) => id,
  )

async function send(...names: [string, string][]) {
  const events = names.map(([userId, name]) => normalEvent({ userId, name, time: Date.now() - 1000 }))
  await world.sender.send(persist, [
    normalBatch(events.map((one) => ({ ...one, receivedAt: Date.now() - 300 }))),
  ])
  await waitUntilDrained(world.producer, world.config, 60_000)
}

test('the rows of the pool together have every entry and exit, and count what was decided and what was left out', async () => {
  const people = Array.from({ length: 60 }, (_, i) => `p-${i}`)
  await send(...people.map((one): [string, string] => [one, 'Viewed']))
  await send(...people.slice(0, 20).map((one): [string, string] => [one, 'Bought']))
  const passes = await rows()
  const changes = await world.onAll((sql) => sql<{ op: string }[]>`select op from membership_changes`)
  expect(sum(passes.map((one) => one.entered))).toBe(changes.filter((one) => one.op === 'enter').length)
  expect(changes.length).toBe(60 + 20 + 20)
  expect(sum(passes.map((one) => one.exited))).toBe(0)
  for (const one of passes) {
    expect(one.segments).toBe(3)
    expect(one.reasons).toEqual(['event'])
    expect(one.profiles).toBe(one.evaluated)
    // Each of the events concerns two of the three rules, unless both came in one pass.
    expect(one.pairs).toBeGreaterThanOrEqual(2 * one.profiles)
    expect(one.durationMs).toBeGreaterThan(0)
    expect(one.lagMs).toBeGreaterThanOrEqual(300)
    expect(one.lagMs).toBeLessThan(60_000)
  }
  const shards = new Set((await profileIds()).map((one) => shardOfProfile(one, world.config.shards)))
  expect(new Set(passes.flatMap((one) => one.shards))).toEqual(shards)
  const stored = await Promise.all(world.servers.all.map((sql) => sql`select 1 from segment_passes`))
  for (const some of stored) expect(some.length).toBeGreaterThan(0)
})

const passOver = async (input: Partial<PassInput> & Pick<PassInput, 'reasons'>) => {
  const [first = 0] = input.reasons.keys()
  const sql = world.servers.of(first)
  return runPass({ sql, home: world.sql }, createSegmentCatalog(), {
    ...{ shards: world.config.shards, clock: world.clock },
    ...input,
  })
}

test('a pass that changes nothing, or has nobody to evaluate, has a row, and its commit does not wait for the disk', async () => {
  const own = (await profileIds()).filter((one) => world.servers.of(one) === world.sql)
  const reasons = new Map(own.map((one) => [one, 'time' as const]))
  await passOver({ reasons })
  expect((await rows()).at(-1)).toMatchObject({
    ...{ reasons: ['time'], profiles: own.length, evaluated: own.length, pairs: 3 * own.length },
    ...{ entered: 0, exited: 0, lagMs: null },
  })
  const eventIds = new Map(own.map((one) => [one, new Set([9_999])]))
  await passOver({ reasons, eventIds, receivedAt: new Map([[own[0] ?? 0, world.clock.now() - 5_000]]) })
  const nobody = (await rows()).at(-1)
  expect(nobody).toMatchObject({ profiles: own.length, evaluated: 0, segments: 3, pairs: 0 })
  expect(nobody?.lagMs).toBeGreaterThanOrEqual(5_000)
  const [one] = await world.sql<{ waits: string }[]>`show synchronous_commit`
  expect(Object.values(one ?? {})).toEqual(['on'])
})

test('a pass that fails, and one whose shards another process is writing, have no row', async () => {
  const [one = 0] = (await profileIds()).filter((each) => world.servers.of(each) === world.sql)
  const before = await rows()
  const reasons = new Map([[one, 'time' as const]])
  await inTransaction(world.sql, async (tx) => {
    await tx`select pg_advisory_xact_lock(hashtextextended(current_schema() || '.writer', lock)) from generate_series(0, 127) as lock`
    expect((await passOver({ reasons })).busyShards.size).toBe(1)
  })
  await world.sql`delete from memberships where profile_id = ${one}`
  await world.sql`alter table membership_changes add constraint refuses check (reason <> 'late') not valid`
  await expect(passOver({ reasons: new Map([[one, 'late' as const]]) })).rejects.toThrow('refuses')
  await world.sql`alter table membership_changes drop constraint refuses`
  expect(await rows()).toEqual(before)
  await passOver({ reasons })
  const last = (await rows()).at(-1)
  expect(last?.entered).toBeGreaterThan(0)
})
