// What is in Redis beside the queues: served memberships, live feed, rate limits. All of it can be rebuilt from Postgres,
// so its connection fails fast and callers carry on without.
import type { Cluster, Redis } from 'ioredis'

export type Cache = {
  redis: Redis | Cluster
  key(...parts: (string | number)[]): string
  close(): Promise<void>
}

/** Keys are `<namespace>:c:<parts>`. `redis` comes from queues/connection.ts `connectForCache`; `close` ends it. */
export function openCache(redis: Cache['redis'], namespace: string): Cache {
  return {
    redis,
    key: (...parts) => `${namespace}:c:${parts.join(':')}`,
    close: async () => {
      redis.disconnect()
    },
  }
}
