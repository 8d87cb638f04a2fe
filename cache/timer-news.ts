// Word that segment timers were written, so that the clock need not ask Postgres while none was: a number that grows.
// The truth is in Postgres; a lost word costs the clock's patience (workers/schedule/timers.ts), nothing else.
import type { Cache } from './connect.ts'

/** Told after the timers are committed. Failures are swallowed by design. */
export async function tellTimers(cache: Cache): Promise<void> {
  await cache.redis.incr(keyOf(cache)).catch(() => null)
}

/** As of the last word; undefined while Redis does not answer. */
export async function readTimerNews(cache: Cache): Promise<string | undefined> {
  return cache.redis.get(keyOf(cache)).then(
    (count) => count ?? '0',
    () => undefined,
  )
}

function keyOf(cache: Cache): string {
  return cache.key('timers-written')
}
