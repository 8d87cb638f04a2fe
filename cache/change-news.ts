// Word that membership changes were written, so that feeds look at once instead of within a second. By pub/sub, which keeps
// nothing: the truth is in Postgres, and a word that is lost costs that second.
import { Cluster } from 'ioredis'
import type { Cache } from './connect.ts'

/** Told after the changes are committed. Failures are swallowed by design. */
export async function tellChanges(cache: Cache): Promise<void> {
  await cache.redis.publish(channelOf(cache), '').catch(() => null)
}

/** Calls `heard` at every word, on a connection of its own, also after Redis was away. Never waits for Redis. */
export function hearChanges(cache: Cache, heard: () => void): { stop(): void } {
  const redis = cache.redis instanceof Cluster ? cache.redis.duplicate() : cache.redis.duplicate()
  redis.on('error', () => {})
  redis.on('message', heard)
  // Again after every connect; what was told before it is looked for at once.
  redis.on('ready', () => void redis.subscribe(channelOf(cache)).then(heard, () => {}))
  if (redis.status === 'wait') redis.connect().catch(() => {})
  return { stop: () => redis.disconnect() }
}

function channelOf(cache: Cache): string {
  return cache.key('changes-written')
}
