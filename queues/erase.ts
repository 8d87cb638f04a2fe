// Deletes what a deployment has in Redis: everything (`millrace reset`), or only the cache (`millrace restore`).
import { type RedisClient, serversOf } from './connection.ts'

/** Removes what is not a queue: served memberships, sessions of the dashboard, the live feed. All of it comes again. */
export function eraseCache(redis: RedisClient, namespace: string): Promise<number> {
  return erase(redis, [`${namespace}:c:*`])
}

/** Removes the queues' and the cache's keys in slices; returns how many. Namespaces hold no '-', so none is another's prefix. */
export function eraseNamespace(redis: RedisClient, namespace: string): Promise<number> {
  return erase(redis, [`{${namespace}-*`, `${namespace}:*`])
}

async function erase(redis: RedisClient, patterns: string[]): Promise<number> {
  let erased = 0
  for (const server of serversOf(redis)) {
    for (const pattern of patterns) {
      let cursor = '0'
      do {
        const [next, keys] = await server.scan(cursor, 'MATCH', pattern, 'COUNT', 500)
        // One command a key: those of a slice may lie in different slots.
        const unlinks = await Promise.all(keys.map((key) => redis.unlink(key)))
        erased += unlinks.reduce((sum, count) => sum + count, 0)
        cursor = next
      } while (cursor !== '0')
    }
  }
  return erased
}
