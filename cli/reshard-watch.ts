// A process notices that the number of shards has changed and asks to be started again with the new one: queues, workers and
// gates are made for a number once. All do so within seconds, one after the other.
import type { RedisClient } from '../queues/connection.ts'
import { readShardNews } from '../queues/shard-news.ts'
import { inStep } from '../runtime/rhythm.ts'
import { countShards } from '../store/shard-map.ts'
import type { Sql } from '../store/sql.ts'

const LOOK_MS = 10_000
const SPREAD_MS = 4000

/** `changed` is called once; never while a store is away. */
export function watchShards(options: {
  redis: RedisClient
  sql: Sql
  namespace: string
  shards: number
  changed(): void
}): { stop(): void } {
  const { redis, sql, namespace, shards } = options
  let told = false
  const look = async () => {
    const news = await readShardNews(redis, namespace)
    if (told || news === undefined || news === shards || (await countShards(sql)) === shards) return
    told = true
    watch.stop()
    setTimeout(options.changed, Math.random() * SPREAD_MS).unref()
  }
  const watch = inStep(LOOK_MS, () => void look().catch(() => {}))
  return watch
}
