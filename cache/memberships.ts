// Served memberships: which segments a profile is in, as Redis answers it. A cache of Postgres: written by the shard's
// writer after each pass, filled by readers on a miss, never the truth. A write older than what is stored loses.
import type { Cache } from './connect.ts'

/** KEYS[1] hash, ARGV: field, version (ms), value. Stores unless a newer version is there. Returns 1 when stored. */
const STORE_IF_NEWER = `
local current = redis.call('HGET', KEYS[1], ARGV[1])
if current then
  local stored = tonumber(string.match(current, '^(%d+)|'))
  if stored and stored > tonumber(ARGV[2]) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '|' .. ARGV[3])
redis.call('EXPIRE', KEYS[1], 604800)
return 1`

/** 64 profiles share a hash: small hashes are stored compactly, about a third of a key each. */
function placeOf(cache: Cache, profileId: number): { key: string; field: string } {
  return { key: cache.key('members', Math.floor(profileId / 64)), field: String(profileId % 64) }
}

/** Stores the segments of profiles as of `versionMs`. Failures are swallowed by design: readers fall back to Postgres. */
export async function writeMemberships(
  cache: Cache,
  versionMs: number,
  entries: Map<number, Iterable<number>>,
): Promise<void> {
  if (entries.size === 0) return
  const calls = [...entries].map(([profileId, segmentIds]) => {
    const { key, field } = placeOf(cache, profileId)
    return [STORE_IF_NEWER, 1, key, field, versionMs, [...segmentIds].join(',')] as const
  })
  // In a cluster the keys lie on all nodes: the connection gathers the commands of each.
  if (cache.redis.isCluster) {
    await Promise.allSettled(calls.map((call) => cache.redis.eval(...call)))
    return
  }
  const pipeline = cache.redis.pipeline()
  for (const call of calls) pipeline.eval(...call)
  await pipeline.exec().catch(() => null)
}

/** The segments of a profile, or undefined when Redis does not know (or does not answer): ask Postgres then. */
export async function readMemberships(cache: Cache, profileId: number): Promise<number[] | undefined> {
  const { key, field } = placeOf(cache, profileId)
  const value = await cache.redis.hget(key, field).catch(() => null)
  if (value === null) return undefined
  const list = value.slice(value.indexOf('|') + 1)
  return list === '' ? [] : list.split(',').map(Number)
}
