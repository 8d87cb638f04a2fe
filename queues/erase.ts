// Deletes everything a deployment has in Redis. Only `millrace reset` calls it.
import { type RedisClient, serversOf } from './connection.ts'

/** Removes the queues' and the cache's keys in slices; returns how many. Namespaces hold no '-', so none is another's prefix. */
export async function eraseNamespace(redis: RedisClient, namespace: string): Promise<number> {
  let erased = 0
  for (const server of serversOf(redis)) {
    for (const pattern of [`{${namespace}-*`, `${namespace}:*`]) {
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
