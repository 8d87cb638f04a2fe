// Histories of many people are read range by range, those of few in one look: both find the same.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { BUCKET_RANGES, bucketOfProfile, rangeOfProfile } from '../../domain/buckets.ts'
import type { Input } from '../../domain/segments/inputs.ts'
import { persist } from '../../queues/pipeline.ts'
import { readEventIds, readHistories } from '../../store/histories.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

const NOON = Date.UTC(2026, 10, 20, 12)
const DAY_MS = 86_400_000
const PEOPLE = 300
const INPUTS: Input[] = [
  { type: 'track', event: 'Order Completed', props: [], where: [], lastMs: 30 * DAY_MS },
  { type: 'track', event: 'Product Viewed', props: ['sku'], where: [] },
]
let world: World

beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('web-shop')`
  const events = Array.from({ length: PEOPLE }, (_, one) => {
    const at = (daysAgo: number) => ({ userId: `user-${one}`, time: NOON - daysAgo * DAY_MS - one })
    return [
      normalEvent({ ...at(2), name: 'Order Completed', value: `${1000 + one}`, currency: 'USD' }),
      normalEvent({ ...at(40), name: 'Order Completed', value: '1', currency: 'USD' }),
      normalEvent({ ...at(40), name: 'Product Viewed', properties: `{"sku":"s-${one}"}` }),
      normalEvent({ ...at(1), name: 'Cart Viewed' }),
    ].slice(0, 1 + (one % 4))
  }).flat()
  const pool = await world.run(persistPool)
  await world.sender.send(persist, [normalBatch(events)])
  await waitFor(async () => (await world.sql`select 1 from events`).length === events.length, {
    what: 'all events in Postgres',
  })
  await pool.stop()
}, 60_000)
afterAll(() => world?.close())

test('many people are read range by range, and each has what is read of one alone', async () => {
  const { sql } = world
  const rows = await sql<{ profileId: number; firstMs: number; lastMs: number }[]>`
    select profile_id as "profileId", (extract(epoch from first_seen) * 1000)::bigint as "firstMs",
      (extract(epoch from last_seen) * 1000)::bigint as "lastMs"
    from profiles`
  expect(rows).toHaveLength(PEOPLE)
  expect(new Set(rows.map((one) => rangeOfProfile(one.profileId))).size).toBe(BUCKET_RANGES)
  const eventIds = await readEventIds(sql, INPUTS)
  const read = (people: readonly (typeof rows)[number][]) => {
    const buckets = people.map((one) => bucketOfProfile(one.profileId))
    const bounds = { bucketFrom: Math.min(...buckets), bucketTo: Math.max(...buckets) }
    return readHistories(sql, INPUTS, { people: [...people], ...bounds, asOfMs: NOON }, eventIds)
  }
  const together = await read(rows)
  const alone = new Map((await Promise.all(rows.map((one) => read([one])))).flatMap((found) => [...found]))
  expect(together).toEqual(alone)
  const found = [...together.values()].flat()
  // Within 30 days, and without an end; the fourth event of a person is none that is asked for.
  expect(found.filter((event) => event.name === 'Order Completed')).toHaveLength(PEOPLE)
  expect(found.filter((event) => event.name === 'Product Viewed')).toHaveLength(PEOPLE / 2)
  expect(found.find((event) => event.name === 'Product Viewed')?.props.sku).toMatch(/^s-\d+$/)
})
