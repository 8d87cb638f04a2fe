// Who works on the queues and how fast, read from Redis alone, so that it is the same on every host. Used by `status`.
import { askQueues } from './ask.ts'
import { type RedisClient, serversOf } from './connection.ts'
import { queuePrefix } from './define.ts'

/** Jobs ever added to each queue; BullMQ counts every add, so two looks give a rate. */
export async function addedCounts(
  redis: RedisClient,
  namespace: string,
  names: string[],
): Promise<Map<string, number>> {
  const answers = await askQueues(redis, names, (pipeline, name) => {
    pipeline.get(`${queuePrefix(namespace, name)}:${name}:id`)
  })
  return new Map(names.map((name) => [name, Number(answers.get(name)?.[0] ?? 0)]))
}

/** Workers of each queue by the names of their connections; undefined where Redis does not tell (some managed ones). */
export async function countWorkers(
  redis: RedisClient,
  namespace: string,
  names: string[],
): Promise<Map<string, number> | undefined> {
  let lists: string[]
  try {
    lists = await Promise.all(serversOf(redis).map(async (server) => String(await server.client('LIST'))))
  } catch {
    return undefined
  }
  const queueOf = new Map(
    names.map((name) => [`${queuePrefix(namespace, name)}:${Buffer.from(name).toString('base64')}`, name]),
  )
  const counts = new Map(names.map((name) => [name, 0]))
  for (const list of lists) {
    const connections = list.split('\n').map((line) => / name=(\S+)/.exec(line)?.[1] ?? '')
    // In a cluster a worker may be connected to every node, and is to the one of its queue: the most on one node counts.
    for (const [queue, own] of Map.groupBy(connections, (connection) => queueOf.get(connection)))
      if (queue !== undefined) counts.set(queue, Math.max(counts.get(queue) ?? 0, own.length))
  }
  return counts
}
