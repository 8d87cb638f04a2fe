// The Redis connection of everything beside the queues: served memberships, live feed, rate limits. All of it can be
// rebuilt from Postgres, so commands fail fast and callers carry on without.
import { Redis } from 'ioredis'

export type Cache = { redis: Redis; key(...parts: (string | number)[]): string; close(): Promise<void> }

/** Opens the cache; keys are `<namespace>:c:<parts>`. */
export function connectCache(redisUrl: string, namespace: string): Cache {
  const redis = new Redis(redisUrl, {
    maxRetriesPerRequest: 1,
    commandTimeout: 2000,
    retryStrategy: (attempt) => Math.min(50 * 2 ** Math.min(attempt, 5), 1000),
  })
  redis.on('error', () => {})
  return {
    redis,
    key: (...parts) => `${namespace}:c:${parts.join(':')}`,
    close: async () => {
      redis.disconnect()
    },
  }
}
