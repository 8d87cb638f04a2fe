// Persist tells segment of those who got something that a live rule asks for, and of nobody else; a rule that goes live
// meanwhile misses nobody.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseRule } from '../../../domain/segments/parse.ts'
import { decodePayload } from '../../../queues/codec.ts'
import { persist, segment } from '../../../queues/pipeline.ts'
import { startRuns } from '../../../queues/segment-runs.ts'
import { openQueue } from '../../../queues/sender.ts'
import type { TouchedUsers } from '../../../schema/jobs.ts'
import { segmentRuns } from '../../../store/segment-runs.ts'
import { createSegment } from '../../../store/segments.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { segmentPool } from '../../../workers/segment/pool.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

let world: World
beforeEach(async () => {
  world = await testWorld({ shards: 1 })
  await world.sql`insert into sources (name) values ('shop')`
})
afterEach(() => world.close())

async function goLive(slug: string, match: unknown) {
  const rule = parseRule({ match })
  return createSegment(world.sql, { slug, name: slug, rule, ruleHash: slug, author: '', note: '' })
}

const atLeastOne = (event: string) =>
  ({ k: 'agg', event, agg: 'count', window: { k: 'lifetime' }, op: 'gte', value: 1 }) as const

/** User ids of the profiles that wait on the shard's queue, which nobody works on. */
async function told(): Promise<string[]> {
  const queue = openQueue(world.producer, world.namespace, `${segment.name}-00`)
  const jobs = await queue.getJobs(['waiting'])
  await Promise.all(jobs.map((job) => job.remove()))
  await queue.close()
  const ids = jobs.flatMap((job) => (decodePayload(job.data) as TouchedUsers).profileIds)
  const rows = await world.sql<{ value: string }[]>`
    select value from identities where kind = 0 and profile_id = any(${`{${ids.join(',')}}`}::bigint[]) order by value`
  return rows.map((row) => row.value)
}

async function keep(...events: [string, string][]): Promise<void> {
  const batch = events.map(([userId, name]) =>
    name === 'identify'
      ? normalEvent({ userId, type: 'identify', name: '', traits: { plan: 'gold' } })
      : normalEvent({ userId, name }),
  )
  const before = (await world.sql`select 1 from events`).length
  await world.sender.send(persist, [normalBatch(batch)])
  await waitFor(async () => (await world.sql`select 1 from events`).length === before + events.length)
  await waitFor(
    async () => (await world.producer.exists(`{${world.namespace}-persist}:persist:active`)) === 0,
  )
}

test('of known people only those whose events a rule asks for are told of, also by the first event of its name', async () => {
  await goLive('ordered', atLeastOne('Order Completed'))
  await world.run(persistPool)
  await keep(['ann', 'Product Viewed'], ['bob', 'Product Viewed'])
  // New people are in every segment of those who never did something.
  expect(await told()).toEqual(['ann', 'bob'])
  await keep(['ann', 'Product Viewed'], ['bob', 'Cart Viewed'], ['bob', 'identify'])
  expect(await told()).toEqual([])
  await keep(['ann', 'Product Viewed'], ['bob', 'Order Completed'])
  expect(await told()).toEqual(['bob'])
})

test('a rule over traits asks for identify, and a rule that goes live is known to the next group', async () => {
  await world.run(persistPool)
  await keep(['ann', 'Product Viewed'], ['bob', 'Product Viewed'])
  await told()
  await keep(['ann', 'identify'])
  expect(await told()).toEqual([])
  await goLive('gold', { k: 'trait', path: 'plan', op: 'eq', value: 'gold' })
  await keep(['bob', 'identify'], ['ann', 'Product Viewed'])
  expect(await told()).toEqual(['bob'])
})

test('a group that is kept a second time tells of all its people: the first time may have told nobody', async () => {
  await goLive('ordered', atLeastOne('Order Completed'))
  await world.run(persistPool)
  const batch = normalBatch([normalEvent({ userId: 'ann', messageId: 'a-1' })])
  await world.sender.send(persist, [batch])
  await waitFor(async () => (await told()).includes('ann'))
  await world.sender.send(persist, [{ ...batch, batchId: `${batch.batchId}-again` }])
  await waitFor(async () => (await told()).includes('ann'))
})

test('rules that go live while everybody orders end with everybody in them', async () => {
  await world.run(persistPool, { concurrency: 4 })
  await world.run(segmentPool)
  const people = Array.from({ length: 40 }, (_, i) => `user-${i}`)
  await keep(...people.map((id): [string, string] => [id, 'Product Viewed']))
  for (let round = 0; round < 6; round++) {
    const name = `Ordered ${round}`
    // Half of the orders before the rule, half while it goes live and its run is on its way.
    const orders = people.map((userId) => normalBatch([normalEvent({ userId, name })]))
    await world.sender.send(persist, orders.slice(0, 20))
    const live = goLive(`round-${round}`, atLeastOne(name))
    await world.sender.send(persist, orders.slice(20))
    await live
    const { servers, sender, clock } = world
    await startRuns({ send: sender.send, runs: segmentRuns(servers), shards: 1, nowMs: clock.now() })
  }
  await waitFor(async () => (await world.sql`select 1 from memberships`).length === 6 * people.length, {
    timeoutMs: 60_000,
    what: 'everybody in all six segments',
  })
}, 90_000)
