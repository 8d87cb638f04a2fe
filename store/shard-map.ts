// The stored map from buckets to shards: written at the first start, read at every other, changed by `millrace reshard`.
// Rows of people never move: a shard is only the queue that a range of buckets has.
import { BUCKETS, bucketsOfShard } from '../domain/buckets.ts'
import { inTransaction, type Queryable, type Sql, type Transaction } from './sql.ts'

/** Stores equal ranges when nothing is stored yet; returns how many shards the stored map has. */
export async function ensureShardMap(sql: Sql, shards: number): Promise<number> {
  const stored = await countShards(sql)
  if (stored > 0) return stored
  return inTransaction(sql, async (tx) => {
    await lockMap(tx)
    const byAnother = await countShards(tx)
    if (byAnother > 0) return byAnother
    await writeMap(tx, shards)
    return shards
  })
}

/** Makes it `shards` equal ranges; false when it has as many already. */
export function changeShardMap(sql: Sql, shards: number): Promise<boolean> {
  return inTransaction(sql, async (tx) => {
    await lockMap(tx)
    if ((await countShards(tx)) === shards) return false
    await tx`delete from shard_map`
    await writeMap(tx, shards)
    return true
  })
}

/** Shards of the stored map; 0 when there is none yet. Throws when the map does not cover every bucket once. */
export async function countShards(sql: Queryable): Promise<number> {
  const [row] = await sql<{ shards: number; buckets: number }[]>`
    select count(distinct shard)::int as shards, coalesce(sum(to_bucket - from_bucket + 1), 0)::int as buckets from shard_map`
  if (row === undefined || row.shards === 0) return 0
  if (row.buckets !== BUCKETS) throw new Error(`shard_map covers ${row.buckets} of ${BUCKETS} buckets`)
  return row.shards
}

/** The largest number of shards there ever was. */
export async function mostShards(sql: Queryable): Promise<number> {
  const [row] = await sql<{ most: number }[]>`
    select coalesce(max(shards), 0)::int as most from shard_map_changes`
  return row?.most ?? 0
}

async function lockMap(tx: Transaction): Promise<void> {
  await tx`select pg_advisory_xact_lock(hashtextextended(current_schema() || '.shard-map', 0))`
}

async function writeMap(tx: Transaction, shards: number): Promise<void> {
  const rows = Array.from({ length: shards }, (_, shard) => {
    const { from, to } = bucketsOfShard(shard, shards)
    return { from_bucket: from, to_bucket: to, shard }
  })
  await tx`insert into shard_map ${tx(rows)}`
  await tx`insert into shard_map_changes (shards) values (${shards})`
}
