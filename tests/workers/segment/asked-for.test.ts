// Only events that a rule asks for are evaluated; the memberships, and what Redis serves of them, are those of evaluating
// everybody all the same.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { readServed } from '../../../cache/memberships.ts'
import { waitUntilDrained } from '../../../cli/demo/counts.ts'
import type { Mention } from '../../../domain/identity.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { persist } from '../../../queues/pipeline.ts'
import type { NormalEvent } from '../../../schema/event.ts'
import { createSegment } from '../../../store/segments.ts'
import { createSegmentCatalog } from '../../../workers/live-segments.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { runPass } from '../../../workers/segment/pass.ts'
import { segmentPool } from '../../../workers/segment/pool.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { story } from '../../support/random-identities.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

// Another one every run; a failure names it.
const seed = Number(process.env.MILLRACE_TEST_SEED ?? Date.now() % 2 ** 31)
const START = Date.now() - 60_000
const lifetime = { k: 'lifetime' } as const
const RULES = {
  'never-ordered': { k: 'not', of: count('Order Completed', 1) },
  'ordered-twice': count('Order Completed', 2),
  'viewed-this-month': { ...count('Product Viewed', 1), window: { k: 'rolling', last: 'P30D' } },
  'searched-and-gold': {
    k: 'all',
    of: [count('Products Searched', 1), { k: 'trait', path: 'plan', op: 'eq', value: 'gold' }],
  },
}
const NAMES = ['Product Viewed', 'Order Completed', 'Products Searched', 'Cart Viewed']

function count(event: string, atLeast: number) {
  return { k: 'agg', event, agg: 'count', window: lifetime, op: 'gte', value: atLeast } as const
}

// On a machine that does other work besides, the events of eighty stories took more than twenty seconds.
vi.setConfig({ testTimeout: 150_000 })

let world: World
beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
  for (const [slug, match] of Object.entries(RULES)) {
    const rule = parseRule({ match })
    await createSegment(world.sql, { slug, name: slug, rule, ruleHash: slug, author: '', note: '' })
  }
})
afterAll(() => world?.close())

function eventOf(number: number, i: number, mention: Mention): NormalEvent {
  const own = (id: string) => `s${number}-${id}`
  const { userId, anonymousId, previousId } = mention
  const said = { time: START + mention.time * 1000, messageId: own(mention.messageId) }
  const ids = {
    ...(userId === undefined ? {} : { userId: own(userId) }),
    ...(anonymousId === undefined ? {} : { anonymousId: own(anonymousId) }),
    ...(previousId === undefined ? {} : { previousId: own(previousId) }),
  }
  if (previousId !== undefined) return normalEvent({ ...ids, ...said, type: 'alias', name: '' })
  if (userId !== undefined && i % 5 === 0)
    return normalEvent({ ...ids, ...said, type: 'identify', name: '', traits: { plan: 'gold' } })
  return normalEvent({ ...ids, ...said, name: NAMES[(i * 7 + number) % NAMES.length] ?? '' })
}

test('after any stories of people who merge, log in and order, evaluating everybody again changes nothing', async () => {
  await world.run(persistPool, { concurrency: 2 })
  await world.run(persistPool, { concurrency: 2 })
  await world.run(segmentPool)
  const stories = fc.sample(story, { seed, numRuns: 80 })
  const events = stories.flatMap((messages, number) =>
    messages.map((mention, i) => eventOf(number, i, mention)),
  )
  const batches = []
  for (let at = 0; at < events.length; at += 5) batches.push(normalBatch(events.slice(at, at + 5)))
  await world.sender.send(persist, [...batches, ...batches.filter((_, i) => i % 16 === 0)])
  await waitFor(async () => (await world.sql`select 1 from events`).length === events.length, {
    timeoutMs: 60_000,
    what: `all ${events.length} events (seed ${seed})`,
  })
  const everybody = async () => {
    const rows = await world.sql<{ profile_id: number }[]>`select profile_id from profiles`
    const input = { shards: world.config.shards, clock: world.clock }
    const reasons = new Map(rows.map((row) => [row.profile_id, 'backfill' as const]))
    return runPass({ sql: world.sql, home: world.sql }, createSegmentCatalog(), { ...input, reasons })
  }
  await waitUntilDrained(world.producer, world.config, 60_000)
  const { changes, busyShards, served } = await everybody()
  expect([...busyShards]).toEqual([])
  expect(changes, `seed ${seed}`).toEqual([])
  let ended = 0
  for (const { profileId, mergedInto, ends } of served.people) {
    const value = await readServed(world.cache, profileId)
    const wanted = mergedInto === null ? { kind: 'members', ends } : { kind: 'merged', into: mergedInto }
    // Of who was in none since they came nothing is written.
    if (value !== undefined || ends.size > 0 || mergedInto !== null)
      expect(value, `${profileId} (seed ${seed})`).toMatchObject(wanted)
    ended += [...ends.values()].filter((end) => end !== undefined && Number.isFinite(end)).length
  }
  expect(ended).toBeGreaterThan(10)
  const members = await world.sql<{ slug: string; members: number }[]>`
    select s.slug, count(*)::int as members from memberships m join segments s using (segment_id) group by 1`
  expect(members.map((row) => row.slug).sort(), `seed ${seed}`).toEqual(Object.keys(RULES).sort())
})
