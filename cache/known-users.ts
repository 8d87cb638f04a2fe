// Which profile a user id means, so that a read of memberships need not ask Postgres. An entry needs no invalidation: a user
// id changes its profile only when that profile is merged away, and then the profile's own served value says into which.
import { createHash } from 'node:crypto'
import type { Cache } from './connect.ts'

const KEPT_SECONDS = 7 * 86_400

/** A profile that the user id means or meant: follow its merges. Rejects when Redis does not answer. */
export async function readKnownUser(cache: Cache, userId: string): Promise<number | undefined> {
  const { key, field } = placeOf(cache, userId)
  const text = await cache.redis.hget(key, field)
  return text === null ? undefined : Number(text)
}

export async function writeKnownUser(cache: Cache, userId: string, profileId: number): Promise<void> {
  const { key, field } = placeOf(cache, userId)
  await Promise.all([cache.redis.hset(key, field, profileId), cache.redis.expire(key, KEPT_SECONDS)])
}

/** After its profile turned out to be no more: the id is looked up anew. */
export async function forgetKnownUser(cache: Cache, userId: string): Promise<void> {
  const { key, field } = placeOf(cache, userId)
  await cache.redis.hdel(key, field)
}

/**
 * 2^20 hashes, which stay small up to some hundred million users. 120 bits of SHA-256 stand for the id: two ids are never
 * taken for each other, ids of any length fit, and Redis holds none of them in the clear.
 */
function placeOf(cache: Cache, userId: string): { key: string; field: Buffer } {
  const digest = createHash('sha256').update(userId, 'utf8').digest()
  const group = (digest.readUIntBE(0, 3) >> 4).toString(36)
  const field = Buffer.from(digest.subarray(2, 15))
  return { key: cache.key('users', group), field }
}
