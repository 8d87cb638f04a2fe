// Counts failed log-ins of the dashboard and makes each further one wait longer. Kept in Redis, so that it holds over
// several dashboard processes and restarts; while Redis is away nobody logs in (the caller sees the error).
import type { Cache } from './connect.ts'

export type Subject = {
  /** What is counted, without personal data: a hash of name, address or both. */
  name: string
  /** Failures that cost no wait. */
  freeTries: number
}

/** Counters forget after this long without a try. */
const MEMORY_MS = 15 * 60_000
const MAX_WAIT_MS = 15 * 60_000

// Counts one try of each subject, unless one of them has to wait.
// KEYS: per subject its counter and its block.  ARGV: memory ms, max wait ms, then per subject its free tries.
// Returns 0 = go ahead, else the ms to wait.
const COUNT_TRY = `
  local wait = 0
  for i = 2, #KEYS, 2 do wait = math.max(wait, redis.call('pttl', KEYS[i])) end
  if wait > 0 then return wait end
  for i = 1, #KEYS, 2 do
    local tries = redis.call('incr', KEYS[i])
    redis.call('pexpire', KEYS[i], ARGV[1])
    local over = tries - tonumber(ARGV[2 + (i + 1) / 2])
    if over > 0 then
      redis.call('set', KEYS[i + 1], 1, 'px', math.min(tonumber(ARGV[2]), 1000 * 2 ^ math.min(over, 20)))
    end
  end
  return 0`

/** Counts a try before it is made; returns 0 to go ahead or the ms to wait. */
export async function countLoginTry(
  cache: Pick<Cache, 'redis' | 'key'>,
  subjects: Subject[],
): Promise<number> {
  const keys = subjects.flatMap((subject) => keysOf(cache, subject))
  const frees = subjects.map((subject) => subject.freeTries)
  return Number(await cache.redis.eval(COUNT_TRY, keys.length, ...keys, MEMORY_MS, MAX_WAIT_MS, ...frees))
}

/** Forgets the tries of subjects that proved themselves. */
export async function forgiveLoginTries(
  cache: Pick<Cache, 'redis' | 'key'>,
  subjects: Subject[],
): Promise<void> {
  await cache.redis.del(...subjects.flatMap((subject) => keysOf(cache, subject)))
}

function keysOf(cache: Pick<Cache, 'key'>, subject: Subject): string[] {
  return [cache.key('{login}', subject.name, 'tries'), cache.key('{login}', subject.name, 'block')]
}
