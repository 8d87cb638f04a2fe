// The serving cache: what memberships take in Redis, written by the function that the segment pool writes them with, and how
// fast a process reads them one at a time from a Redis beside it.
import { type Cache, openCache } from '../../../cache/connect.ts'
import { readServed, writeServed } from '../../../cache/memberships.ts'
import { connectForCache, type RedisClient, serversOf, whenReady } from '../../../queues/connection.ts'
import { readMembershipsOf } from '../../../store/memberships.ts'
import { segmentsGeneration } from '../../../store/segment-generation.ts'
import { stampOf } from '../../../store/served-memberships.ts'
import { inTransaction } from '../../../store/sql.ts'
import { quantile } from '../measure.ts'
import { type SegmentBench, timed } from './world.ts'

const SLICE = 5_000
/** Reads under way at once. */
const LANES = 8
const SAMPLE_EVERY = 4
/** Every membership ends, as most do in rules over windows: its end is what takes the room. */
const END_DAYS = 30

export type Serving = { people: number; bytesPerUser: number; readsPerSecond: number; readP99Ms: number }

export async function serving(bench: SegmentBench, seconds: number): Promise<Serving> {
  const { stack } = bench
  const cache = openCache(connectForCache(stack.config.redisUrl), stack.config.namespace)
  try {
    await whenReady(bench.redis)
    const { profileIds, bytesPerUser } = await fillCache(bench, cache)
    const read = await timed(bench, { name: 'seconds', seconds }, () => readFor(seconds, cache, profileIds))
    return { people: profileIds.length, bytesPerUser, ...read }
  } finally {
    await cache.close()
  }
}

/** Empties the cache, then writes everybody who is in a segment. */
async function fillCache({ sql, redis, users, bar: open }: SegmentBench, cache: Cache) {
  for await (const keys of keysOf(redis, cache)) await redis.del(...keys)
  const generation = await segmentsGeneration(sql)
  const endMs = Date.now() + END_DAYS * 86_400_000
  const profileIds: number[] = []
  const bar = open('members', users)
  for (let after = -1; ; ) {
    const rows = await sql<{ profile_id: number }[]>`
      select distinct profile_id from memberships where profile_id > ${after} order by profile_id limit ${SLICE}`
    const ids = rows.map((row) => row.profile_id)
    const last = ids.at(-1)
    if (last === undefined) break
    const stamp = { ...(await inTransaction(sql, stampOf)), generation }
    const people = [...(await readMembershipsOf(sql, ids))].map(([profileId, segmentIds]) => {
      const ends = new Map([...segmentIds].map((segmentId) => [segmentId, endMs]))
      return { profileId, mergedInto: null, hasChanged: true, ends }
    })
    await writeServed(cache, stamp, people)
    for (const id of ids) profileIds.push(id)
    after = last
    // Of all people, as they lie in the order of their numbers.
    bar.set(Math.min(users, last >> 10))
  }
  bar.done()
  let bytes = 0
  for await (const keys of keysOf(redis, cache)) bytes += await bytesOf(redis, keys)
  return { profileIds, bytesPerUser: bytes / Math.max(1, profileIds.length) }
}

/** Of the cache, in pages. */
async function* keysOf(redis: RedisClient, cache: Cache): AsyncGenerator<string[]> {
  for (const server of serversOf(redis)) {
    for (let cursor = '0'; ; ) {
      const [next, keys] = await server.scan(cursor, 'MATCH', cache.key('members', '*'), 'COUNT', 1000)
      if (keys.length > 0) yield keys
      if (next === '0') break
      cursor = next
    }
  }
}

/** What Redis itself says that keys take, names and all fields counted. */
async function bytesOf(redis: RedisClient, keys: string[]): Promise<number> {
  const sizes = await Promise.all(keys.map((key) => redis.memory('USAGE', key, 'SAMPLES', 0)))
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
}

async function readFor(seconds: number, cache: Cache, profileIds: number[]) {
  const latencies: number[] = []
  const startedAt = performance.now()
  const until = startedAt + seconds * 1000
  let reads = 0
  const lane = async () => {
    while (performance.now() < until) {
      const profileId = profileIds[Math.floor(Math.random() * profileIds.length)] ?? 0
      const askedAt = performance.now()
      const found = await readServed(cache, profileId)
      if (found?.kind !== 'members' || found.ends.size === 0)
        throw new Error(`the cache does not know ${profileId}`)
      reads += 1
      if (reads % SAMPLE_EVERY === 0) latencies.push(performance.now() - askedAt)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  const elapsedS = (performance.now() - startedAt) / 1000
  return { readsPerSecond: reads / elapsedS, readP99Ms: quantile(latencies, 0.99) }
}
