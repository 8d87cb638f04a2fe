// Memberships go on in Postgres while Redis does not take them, once each; readers whose Redis still has the old answer do not
// believe it for long, and a job that comes again mends what was not written.
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createMembershipReader } from '../../../api/membership-reader.ts'
import { openCache } from '../../../cache/connect.ts'
import { readServed } from '../../../cache/memberships.ts'
import { shardOfProfile } from '../../../domain/buckets.ts'
import { checkRule } from '../../../domain/segments/version.ts'
import { connectForCache, whenReady } from '../../../queues/connection.ts'
import { sampleQueues } from '../../../queues/depth.ts'
import { allQueueNames, persist, segment as segmentQueue } from '../../../queues/pipeline.ts'
import { openQueue } from '../../../queues/sender.ts'
import { manualClock } from '../../../runtime/clock.ts'
import { createCampaign } from '../../../store/campaigns.ts'
import { createSegment } from '../../../store/segments.ts'
import { createSegmentCatalog } from '../../../workers/live-segments.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { runPass } from '../../../workers/segment/pass.ts'
import { segmentPool } from '../../../workers/segment/pool.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

const DAY = 86_400_000
const start = Date.UTC(2026, 10, 20)
const clock = manualClock(start)

let world: World
/** The cache of the workers: the readers have another connection. */
let redis: ReturnType<typeof connectForCache>
let passes: Awaited<ReturnType<World['run']>>
let merges: Awaited<ReturnType<World['run']>>
let reader: ReturnType<typeof createMembershipReader>
let segmentId = 0

/** Sent at once, so that they are not late: of a late one everything is evaluated. */
const happens = (userId: string, name: string, daysAgo: number) =>
  normalEvent({ userId, name, time: start - daysAgo * DAY, receivedAt: start - daysAgo * DAY + 1 })
const bought = (userId: string, daysAgo: number) => happens(userId, 'Order Completed', daysAgo)
const seen = (userId: string) => happens(userId, 'Seen', 1)
const send = (...events: ReturnType<typeof normalEvent>[]) =>
  world.sender.send(persist, [normalBatch(events)])
const profileOf = async (userId: string) => {
  const [row] = await world.sql<{ id: number }[]>`
    select profile_id as id from identities where kind = 0 and value = ${userId}`
  return row?.id ?? 0
}
/** No deliver pool runs here, so the messages stay on their queue. */
const isQuiet = () =>
  waitFor(async () => {
    const names = allQueueNames(world.config.shards).filter((name) => /^(persist|segment)/.test(name))
    const { lanes } = await sampleQueues(world.producer, world.namespace, names, Date.now())
    return [...lanes.values()].every(({ waiting, active, delayed }) => waiting + active + delayed === 0)
  })
let deliveries = 0
const changesOf = async (userId: string) =>
  world.sql`
    select op, announced_at is not null as announced from membership_changes
    where profile_id = ${await profileOf(userId)} order by change_id`
const deliverJobs = async () => {
  const queue = openQueue(world.producer, world.namespace, 'deliver-email', true)
  const jobs = await queue.getJobs(['waiting', 'delayed', 'active'])
  await queue.close()
  return jobs.length
}
const served = async (userId: string) =>
  (await reader.ofUser(userId))?.held.map(({ segment, endMs }) => [segment.slug, (endMs - start) / DAY])
const missed = async (by: string) => {
  const { values } = await world.metrics.servedMissed.get()
  return values.find(({ labels }) => labels.by === by)?.value ?? 0
}
async function takeRedisAway() {
  redis.disconnect()
  await waitFor(() => redis.status === 'end')
}
async function bringRedisBack() {
  if (redis.status !== 'ready') await redis.connect()
}

beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
  redis = connectForCache(world.redisUrl)
  await whenReady(redis)
  const match = {
    k: 'agg' as const,
    ...{ event: 'Order Completed', agg: 'count', op: 'gte', value: 1 },
    window: { k: 'rolling', last: 'P30D' },
  }
  const names = { slug: 'buyers', name: 'Buyers', author: '', note: '' }
  segmentId = (await createSegment(world.sql, { ...names, ...checkRule({ match }) }))?.segmentId ?? 0
  const ever = { k: 'agg', event: 'Seen', agg: 'count', op: 'gte', value: 1, window: { k: 'lifetime' } }
  await createSegment(world.sql, { ...names, slug: 'seen', name: 'Seen', ...checkRule({ match: ever }) })
  const channel = { channel: 'email' as const, subject: 'Thanks', body: 'Thanks.', html: null }
  await createCampaign(world.sql, { name: 'Thanks', segmentId, channels: [channel] })
  reader = createMembershipReader({ ...world, clock })
  const cache = openCache(redis, world.namespace)
  merges = await world.run(persistPool, { clock, cache })
  passes = await world.run(segmentPool, { clock, cache })
})
afterAll(async () => {
  redis?.disconnect()
  await world?.close()
})

test('a pass tells Redis everything in one round trip', async (context) => {
  if (!(redis instanceof Redis)) return context.skip()
  const people = Array.from({ length: 250 }, (_, i) => `crowd-${i}`)
  await send(...people.map(seen))
  await isQuiet()
  const profileIds = await Promise.all(people.map(profileOf))
  await world.sql`update segment_timers set wake_at = wake_at - interval '1 second'`
  const writes = vi.spyOn(redis.stream, 'write')
  try {
    const job = { v: 1 as const, batchId: 'crowd-0001', reason: 'event' as const, receivedAt: clock.now() }
    await world.sender.send(segmentQueue, [
      { ...job, shard: shardOfProfile(profileIds[0] ?? 0, world.config.shards), profileIds },
    ])
    await isQuiet()
    expect(writes).toHaveBeenCalledTimes(1)
    expect(String(writes.mock.calls[0]?.[0]).match(/evalsha/gi)).toHaveLength(3)
  } finally {
    writes.mockRestore()
  }
})

test('without Redis people enter once and are announced once, and what it had before is not believed', async () => {
  await send(seen('anna'))
  await isQuiet()
  await waitFor(async () => String(await served('anna')) === 'seen,Infinity')
  const old = await readServed(world.cache, await profileOf('anna'))
  await takeRedisAway()
  await send(bought('anna', 2))
  deliveries += 1
  await waitFor(async () => (await changesOf('anna')).length === 2)
  await isQuiet()
  expect(await missed('pass')).toBeGreaterThan(0)
  await waitFor(async () => String(await served('anna')) === 'buyers,28,seen,Infinity')
  // Which told Redis, in place of the pass.
  await waitFor(async () => {
    const now = await readServed(world.cache, await profileOf('anna'))
    return now?.kind === 'members' && old?.kind === 'members' && now.generation > old.generation
  })
  expect(await changesOf('anna')).toEqual([
    { op: 'enter', announced: true },
    { op: 'enter', announced: true },
  ])
  expect(await deliverJobs()).toBe(1)
  expect(passes.dead).toEqual([])
})

test('an end that a pass could not tell is not kept by the next one', async () => {
  await bringRedisBack()
  await send(seen('bea'), bought('bea', 10))
  deliveries += 1
  await isQuiet()
  expect(await served('bea')).toEqual([
    ['buyers', 20],
    ['seen', Number.POSITIVE_INFINITY],
  ])
  await takeRedisAway()
  const before = await missed('pass')
  await send(bought('bea', 1))
  await waitFor(async () => (await missed('pass')) > before)
  await bringRedisBack()
  // Looks at the other rule only, so it keeps the end that Redis has of this one.
  await send(seen('bea'))
  await isQuiet()
  await waitFor(async () => String(await served('bea')) === 'buyers,29,seen,Infinity', { timeoutMs: 3000 })
})

test('a job that comes again after its pass has died before Redis changes nothing twice, and Redis is mended', async () => {
  await send(seen('carla'), bought('carla', 29))
  deliveries += 1
  await isQuiet()
  await waitFor(async () => String(await served('carla')) === 'buyers,1,seen,Infinity')
  const carla = await profileOf('carla')
  clock.set(start + 2 * DAY)
  try {
    const reasons = new Map([[carla, 'time' as const]])
    // The commit of a pass, and nothing after it.
    const { changes } = await runPass({ sql: world.sql, home: world.sql }, createSegmentCatalog(), {
      ...{ shards: world.config.shards, secret: world.config.secret, reasons, clock },
    })
    expect(changes).toMatchObject([{ op: 'exit', segmentId }])
    expect((await readServed(world.cache, carla))?.kind).toBe('members')
    expect(await changesOf('carla')).toMatchObject([{}, {}, { op: 'exit', announced: true }])
    for (const batchId of ['again-0001', 'again-0002']) {
      const job = { v: 1 as const, batchId, reason: 'time' as const, receivedAt: clock.now() }
      await world.sender.send(segmentQueue, [
        { ...job, shard: shardOfProfile(carla, world.config.shards), profileIds: [carla] },
      ])
      await isQuiet()
    }
    expect(await changesOf('carla')).toMatchObject([{}, {}, { op: 'exit', announced: true }])
    const value = await readServed(world.cache, carla)
    expect(value).toMatchObject({ ends: new Map([[segmentId + 1, Number.POSITIVE_INFINITY]]) })
    expect(await deliverJobs()).toBe(deliveries)
  } finally {
    clock.set(start)
  }
})

test('a merge commits without Redis, and who was merged away is answered as the other within about a second', async () => {
  await send(seen('old-dora'))
  await isQuiet()
  await send(seen('dora'), bought('dora', 5))
  deliveries += 1
  await isQuiet()
  expect(await served('dora')).toHaveLength(2)
  expect(await served('old-dora')).toHaveLength(1)
  await passes.stop()
  await takeRedisAway()
  await world.sender.send(persist, [
    normalBatch([
      normalEvent({ type: 'alias', name: '', userId: 'old-dora', previousId: 'dora', time: start }),
    ]),
  ])
  const winner = await profileOf('old-dora')
  await waitFor(async () => (await profileOf('dora')) === winner)
  const startedMs = performance.now()
  // No pass runs: the one who remains is still in what they were in.
  await waitFor(async () => String(await served('dora')) === 'seen,Infinity')
  expect(performance.now() - startedMs).toBeLessThan(1500)
  expect(await missed('merge')).toBe(1)
  expect(merges.dead).toEqual([])
  expect(await world.sql`select 1 from failed_events`).toEqual([])
})
