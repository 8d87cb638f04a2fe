// Who works on the queues and how fast, read from Redis alone, so that it is the same on every host. Used by `status`.
import type { Redis } from 'ioredis'
import { queuePrefix } from './define.ts'

/** Jobs ever added to each queue; BullMQ counts every add, so two looks give a rate. */
export async function addedCounts(
  redis: Redis,
  namespace: string,
  names: string[],
): Promise<Map<string, number>> {
  const keys = names.map((name) => `${queuePrefix(namespace, name)}:${name}:id`)
  const pipeline = redis.pipeline()
  for (const key of keys) pipeline.get(key)
  const replies = (await pipeline.exec()) ?? []
  return new Map(
    names.map((name, i) => {
      const reply = replies[i]
      if (reply === undefined || reply[0] !== null) throw reply?.[0] ?? new Error('Connection is closed.')
      return [name, Number(reply[1] ?? 0)]
    }),
  )
}

/** Workers of each queue by the names of their connections; undefined where Redis does not tell (some managed ones). */
export async function countWorkers(
  redis: Redis,
  namespace: string,
  names: string[],
): Promise<Map<string, number> | undefined> {
  let list: string
  try {
    list = String(await redis.client('LIST'))
  } catch {
    return undefined
  }
  const counts = new Map(names.map((name) => [name, 0]))
  const queueOf = new Map(
    names.map((name) => [`${queuePrefix(namespace, name)}:${Buffer.from(name).toString('base64')}`, name]),
  )
  for (const line of list.split('\n')) {
    const connection = / name=(\S+)/.exec(line)?.[1]
    const queue = connection === undefined ? undefined : queueOf.get(connection)
    if (queue !== undefined) counts.set(queue, (counts.get(queue) ?? 0) + 1)
  }
  return counts
}
