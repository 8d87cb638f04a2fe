// Word that the number of shards has changed, so that every process looks at the stored map (store/shard-map.ts) and starts
// again with it. The truth is in Postgres; a lost word costs nothing but a start by hand.
import type { RedisClient } from './connection.ts'
import { queuePrefix } from './define.ts'
import { segment } from './pipeline.ts'

function keyOf(namespace: string): string {
  return `${queuePrefix(namespace, segment.name)}:shards`
}

export async function tellShards(redis: RedisClient, namespace: string, shards: number): Promise<void> {
  await redis.set(keyOf(namespace), shards)
}

/** The number last told of; undefined when none ever was. */
export async function readShardNews(redis: RedisClient, namespace: string): Promise<number | undefined> {
  const text = await redis.get(keyOf(namespace))
  return text === null ? undefined : Number(text)
}
