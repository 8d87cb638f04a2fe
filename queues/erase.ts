// Deletes everything a deployment has in Redis. Only `millrace reset` calls it.
import type { Redis } from 'ioredis'

/** Removes the queues' and the cache's keys in slices; returns how many. Namespaces hold no '-', so none is another's prefix. */
export async function eraseNamespace(redis: Redis, namespace: string): Promise<number> {
  let erased = 0
  for (const pattern of [`{${namespace}-*`, `${namespace}:*`]) {
    let cursor = '0'
    do {
      const [next, keys] = await redis.scan(cursor, 'MATCH', pattern, 'COUNT', 500)
      if (keys.length > 0) erased += await redis.unlink(...keys)
      cursor = next
    } while (cursor !== '0')
  }
  return erased
}
