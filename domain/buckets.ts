// Buckets and shards: which of 1,024 buckets a profile lives in, and which shard owns a bucket. Pure; the same bucket
// rule exists in SQL as `bucket_of(text)` (schema/migrations) and both are held together by golden vectors in tests.
import { createHash } from 'node:crypto'

export const BUCKETS = 1024
/** Fixed ranges that tables are partitioned by: bucket >> 6 is the range, for ever. */
export const BUCKET_RANGES = 16
/** Shards of a new deployment. */
export const DEFAULT_SHARDS = 16
/** Buckets that one writer locks at the least: the same whatever the number of shards, which may be changing. */
const BUCKETS_A_LOCK = 8
/** So many locks share all buckets. */
export const WRITER_LOCKS = BUCKETS / BUCKETS_A_LOCK

/** First 4 bytes (big endian) of SHA-256 of the profile's first id, modulo 1,024. */
export function bucketOf(firstId: string): number {
  return createHash('sha256').update(firstId, 'utf8').digest().readUInt32BE(0) % BUCKETS
}

/** A profile's number carries its bucket in the low ten bits, so that jobs can name profiles only. Exact below 2^53. */
export function bucketOfProfile(profileId: number): number {
  return profileId % BUCKETS
}

/** The bucket range (0-15) that a profile's rows, or those of a bucket, are in: what a Postgres server has or has not. */
export function rangeOfProfile(profileId: number): number {
  return (profileId % BUCKETS) >> 6
}

/** The range of a message id, which is spread by its own hash: `id` = the hash in hex. */
export function rangeOfMessage(id: string): number {
  return Number.parseInt(id.charAt(0), 16)
}

/** The shard (0-based) of a bucket when `shards` equal ranges share all buckets; `shards` divides 1,024. */
export function shardOfBucket(bucket: number, shards: number): number {
  return Math.floor(bucket / (BUCKETS / shards))
}

export function shardOfProfile(profileId: number, shards: number): number {
  return shardOfBucket(bucketOfProfile(profileId), shards)
}

/** Inclusive bucket range of a shard. */
export function bucketsOfShard(shard: number, shards: number): { from: number; to: number } {
  const width = BUCKETS / shards
  return { from: shard * width, to: (shard + 1) * width - 1 }
}

/** The first and last lock of a shard's buckets; shards that are smaller than a lock share one. */
export function locksOfShard(shard: number, shards: number): { first: number; last: number } {
  const { from, to } = bucketsOfShard(shard, shards)
  return { first: Math.floor(from / BUCKETS_A_LOCK), last: Math.floor(to / BUCKETS_A_LOCK) }
}

/** The writer lock of a profile: who writes its memberships holds it until the commit. In SQL: `bucket >> 3`. */
export function lockOfProfile(profileId: number): number {
  return Math.floor(bucketOfProfile(profileId) / BUCKETS_A_LOCK)
}

/** All writer locks of a bucket range. */
export function locksOfRange(range: number): number[] {
  const each = WRITER_LOCKS / BUCKET_RANGES
  return Array.from({ length: each }, (_, i) => range * each + i)
}

/** Two digits at least: `segment-00` … `segment-15`. */
export function shardName(shard: number): string {
  return String(shard).padStart(2, '0')
}
