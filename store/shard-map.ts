// The stored map from buckets to shards: written at the first start, compared with the configuration at every other.
import { BUCKETS, bucketsOfShard } from '../domain/buckets.ts'
import type { Sql } from './sql.ts'

/** Stores equal ranges when nothing is stored yet; returns how many shards the stored map has. */
export async function ensureShardMap(sql: Sql, shards: number): Promise<number> {
  const stored = await countShards(sql)
  if (stored > 0) return stored
  const rows = Array.from({ length: shards }, (_, shard) => {
    const { from, to } = bucketsOfShard(shard, shards)
    return { from_bucket: from, to_bucket: to, shard }
  })
  await sql`insert into shard_map ${sql(rows)} on conflict (from_bucket) do nothing`
  return countShards(sql)
}

/** Shards of the stored map; 0 when there is none yet. Throws when the map does not cover every bucket once. */
export async function countShards(sql: Sql): Promise<number> {
  const [row] = await sql<{ shards: number; buckets: number }[]>`
    select count(distinct shard)::int as shards, coalesce(sum(to_bucket - from_bucket + 1), 0)::int as buckets from shard_map`
  if (row === undefined || row.shards === 0) return 0
  if (row.buckets !== BUCKETS) throw new Error(`shard_map covers ${row.buckets} of ${BUCKETS} buckets`)
  return row.shards
}
