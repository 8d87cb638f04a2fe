// What a pass must not leave out, each said by one example: a merge, a segment that another one asks about, late events.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkRule } from '../../../domain/segments/version.ts'
import { persist } from '../../../queues/pipeline.ts'
import { manualClock } from '../../../runtime/clock.ts'
import type { NormalEvent } from '../../../schema/event.ts'
import type { TouchedUsers } from '../../../schema/jobs.ts'
import type { RuleNode } from '../../../schema/rule.ts'
import { createSegment } from '../../../store/segments.ts'
import { createSegmentCatalog } from '../../../workers/live-segments.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { runPass } from '../../../workers/segment/pass.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

const NOW = Date.UTC(2026, 10, 20, 12)
const did = (event: string): RuleNode => ({
  ...{ k: 'agg', event, agg: 'count', op: 'gte', value: 1 },
  window: { k: 'rolling', last: 'P30D' },
})
const RULES: Record<string, RuleNode> = {
  lookers: did('Viewed'),
  buyers: did('Bought'),
  'idle-lookers': {
    k: 'all',
    of: [
      { k: 'segment', segment: 'lookers' },
      { k: 'not', of: { k: 'segment', segment: 'buyers' } },
    ],
  },
}

let world: World
const catalog = createSegmentCatalog()
const clock = manualClock(NOW)
let sent = 0
beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
  for (const [slug, match] of Object.entries(RULES))
    await createSegment(world.sql, { slug, name: slug, author: '', note: '', ...checkRule({ match }) })
  await world.run(persistPool)
})
afterAll(() => world.close())

async function add(...events: Partial<NormalEvent>[]) {
  sent += events.length
  await world.sender.send(persist, [
    normalBatch(events.map((event) => normalEvent({ time: NOW - 1000, ...event }))),
  ])
  await waitFor(async () => (await world.sql`select 1 from events`).length === sent)
}

const profileOf = async (value: string) =>
  Number((await world.sql`select profile_id from identities where value = ${value}`)[0]?.profile_id)

/** `event` = the name of what is new; absent = whatever it was. */
async function pass(reason: TouchedUsers['reason'], profileIds: number[], event?: string) {
  const [named] = await world.sql<
    { event_id: number }[]
  >`select event_id from event_names where name = ${event ?? null}`
  const eventIds =
    named === undefined ? undefined : new Map(profileIds.map((one) => [one, new Set([named.event_id])]))
  await runPass({ sql: world.sql, home: world.sql }, catalog, {
    ...{ shards: world.config.shards, clock },
    reasons: new Map(profileIds.map((profileId) => [profileId, reason])),
    ...(eventIds === undefined ? {} : { eventIds }),
  })
}

async function segmentsOf(profileId: number): Promise<string[]> {
  const rows = await world.sql<{ slug: string }[]>`
    select s.slug from memberships m join segments s using (segment_id) where m.profile_id = ${profileId} order by 1`
  return rows.map((row) => row.slug)
}

test('whoever was merged away is in nothing any more, and the other one in all', async () => {
  await add({ userId: 'anna', name: 'Bought' }, { anonymousId: 'visitor', name: 'Viewed' })
  const [anna, visitor] = [await profileOf('anna'), await profileOf('visitor')]
  await pass('event', [anna, visitor])
  expect([await segmentsOf(anna), await segmentsOf(visitor)]).toEqual([
    ['buyers'],
    ['idle-lookers', 'lookers'],
  ])
  await add({ userId: 'anna', anonymousId: 'visitor', type: 'identify', name: '' })
  const winner = await profileOf('visitor')
  expect(winner).toBe(await profileOf('anna'))
  const loser = winner === anna ? visitor : anna
  await pass('merged', [winner, loser])
  expect([await segmentsOf(winner), await segmentsOf(loser)]).toEqual([['buyers', 'lookers'], []])
  const left =
    await world.sql`select distinct reason from membership_changes where profile_id = ${loser} and op = 'exit'`
  expect(left).toEqual([{ reason: 'merged' }])
})

test('an event that only a segment asks for that is asked about moves both', async () => {
  await add({ userId: 'bert', name: 'Viewed' })
  const bert = await profileOf('bert')
  await pass('event', [bert])
  expect(await segmentsOf(bert)).toEqual(['idle-lookers', 'lookers'])
  await add({ userId: 'bert', name: 'Bought' })
  await pass('event', [bert], 'Bought')
  expect(await segmentsOf(bert)).toEqual(['buyers', 'lookers'])
})

test('an event that comes late, from before all others, counts at once', async () => {
  await add({ userId: 'carl', name: 'Cart Viewed' })
  const carl = await profileOf('carl')
  await pass('event', [carl])
  expect(await segmentsOf(carl)).toEqual([])
  await add({ userId: 'carl', name: 'Bought', time: NOW - 29 * 86_400_000 })
  await pass('late', [carl], 'Bought')
  expect(await segmentsOf(carl)).toEqual(['buyers'])
})
