// The api_keys table: what a key may do, looked up by its hash. Called by the auth of collector and API, the key
// routes and `millrace keys`. The key itself is shown once by `issueKey` and never stored.
import { formatKey, hashKey, type KeyKind, type KeyRecord } from '../domain/keys.ts'
import type { Queryable } from './sql.ts'

export type NewKey = {
  kind: KeyKind
  /** Required for `pub`, absent for `sec`. */
  sourceId?: number
  name?: string
  allowedOrigins?: string[]
  allowedIps?: string[]
  rateLimitPerSecond?: number
}

export type KeyRow = KeyRecord & {
  name: string
  sourceName: string | null
  lastFour: string
  createdAt: Date
  lastUsedAt: Date | null
  revokedAt: Date | null
}

/** The key with this SHA-256; undefined when it is unknown or revoked. Needs the unique index on key_hash. */
export async function findKey(sql: Queryable, keyHash: Buffer): Promise<KeyRecord | undefined> {
  const [row] = await sql<KeyRecord[]>`
    select k.key_id as "keyId", k.kind, k.source_id as "sourceId",
      (extract(epoch from s.accept_events_since) * 1000)::float8 as "acceptEventsSince",
      k.allowed_origins as "allowedOrigins", k.allowed_ips as "allowedIps",
      k.rate_limit_per_second as "rateLimitPerSecond"
    from api_keys k
    left join sources s using (source_id)
    where k.key_hash = ${keyHash}
      and k.revoked_at is null`
  return row
}

/** Keeps a key by its hash and returns its id. A `pub` key without a source is refused by the table (23514). */
export async function createKey(
  sql: Queryable,
  key: NewKey & { keyHash: Buffer; lastFour: string },
): Promise<number> {
  const [row] = await sql<{ keyId: number }[]>`
    insert into api_keys (kind, source_id, name, key_hash, last_four, allowed_origins, allowed_ips, rate_limit_per_second)
    values (${key.kind}, ${key.sourceId ?? null}, ${key.name ?? ''}, ${key.keyHash}, ${key.lastFour},
      ${key.allowedOrigins ?? []}, ${key.allowedIps ?? []}, ${key.rateLimitPerSecond ?? null})
    returning key_id as "keyId"`
  if (row === undefined) throw new Error('the insert of a key returned no row')
  return row.keyId
}

/** Makes a key from 16 random bytes and keeps its hash; `key` is the only time its text is seen. */
export async function issueKey(
  sql: Queryable,
  options: NewKey,
  random: Uint8Array,
): Promise<{ key: string; keyId: number; lastFour: string }> {
  const key = formatKey(options.kind, random)
  const lastFour = key.slice(-4)
  const keyId = await createKey(sql, { ...options, keyHash: hashKey(key), lastFour })
  return { key, keyId, lastFour }
}

/** Revokes a key; false when there is none or it was revoked before. Edges notice within 5 s. */
export async function revokeKey(sql: Queryable, keyId: number): Promise<boolean> {
  const rows = await sql`
    update api_keys set revoked_at = now()
    where key_id = ${keyId}
      and revoked_at is null
    returning key_id`
  return rows.length > 0
}

/** Every key, revoked ones too, oldest first. Never the hash. */
export async function listKeys(sql: Queryable): Promise<KeyRow[]> {
  return sql<KeyRow[]>`
    select k.key_id as "keyId", k.kind, k.source_id as "sourceId", s.name as "sourceName", k.name,
      (extract(epoch from s.accept_events_since) * 1000)::float8 as "acceptEventsSince",
      k.last_four as "lastFour", k.allowed_origins as "allowedOrigins", k.allowed_ips as "allowedIps",
      k.rate_limit_per_second as "rateLimitPerSecond", k.created_at as "createdAt",
      k.last_used_at as "lastUsedAt", k.revoked_at as "revokedAt"
    from api_keys k
    left join sources s using (source_id)
    order by k.key_id`
}

/** Notes that keys were used; several processes may report out of order. */
export async function touchKeys(sql: Queryable, keyIds: number[], usedAt: Date): Promise<void> {
  if (keyIds.length === 0) return
  await sql`
    update api_keys set last_used_at = ${usedAt}
    where key_id = any(${keyIds}::bigint[])
      and (last_used_at is null or last_used_at < ${usedAt})`
}
