// Which segments are live, as a token that changes before every change of a segment commits: who remembers the segments of a
// token need not ask Postgres again while Redis says the same one. The truth is in Postgres.
import { randomBytes } from 'node:crypto'
import type { Cache } from './connect.ts'

/**
 * Before the transaction `version` commits, which changes a segment; under the lock of segments, so tokens follow each
 * other as the commits do. Rejects when Redis cannot be told.
 */
export async function changeSegmentToken(cache: Cache, version: number): Promise<void> {
  await cache.redis.set(keyOf(cache), `${version}-${randomBytes(8).toString('hex')}`)
}

/** Never the same again after Redis was emptied: what changed in between is not taken for known. Rejects when Redis is away. */
export async function readSegmentToken(cache: Cache): Promise<string> {
  const token = await cache.redis.get(keyOf(cache))
  if (token !== null) return token
  await cache.redis.set(keyOf(cache), `0-${randomBytes(8).toString('hex')}`, 'NX')
  return (await cache.redis.get(keyOf(cache))) ?? ''
}

/** The transaction that a token waits for; 0 = none. */
export function transactionOf(token: string): number {
  return Number.parseInt(token, 10) || 0
}

function keyOf(cache: Cache): string {
  return cache.key('segments')
}
