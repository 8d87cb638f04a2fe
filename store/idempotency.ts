// Answers of admin requests that carried an Idempotency-Key: claimed before the work, kept after it, forgotten when the
// work failed on our side. Called by api/idempotency.ts; rows older than a day are dropped by the schedule pool.
import type { Queryable } from './sql.ts'

export type Claim =
  | { kind: 'claimed' }
  | { kind: 'in-flight' }
  | { kind: 'other-body' }
  | { kind: 'answered'; status: number; sealed: string }

/** A claim without an answer for this long belongs to a process that died: it may be taken over. */
const ABANDONED_AFTER = '60 seconds'

/** Claims a key for one request; says what is known of it when it was claimed before. */
export async function claimIdempotencyKey(sql: Queryable, keyHash: Buffer, bodyHash: Buffer): Promise<Claim> {
  const claimed = await sql`
    insert into idempotency_keys as k (key_hash, body_hash)
    values (${keyHash}, ${bodyHash})
    on conflict (key_hash) do update
    set created_at = now()
    where k.status is null and k.body_hash = excluded.body_hash and k.created_at < now() - ${ABANDONED_AFTER}::interval
    returning 1`
  if (claimed.length > 0) return { kind: 'claimed' }
  const [row] = await sql<{ same: boolean; status: number | null; sealed: string | null }[]>`
    select body_hash = ${bodyHash} as same, status, response ->> 'sealed' as sealed
    from idempotency_keys
    where key_hash = ${keyHash}`
  // Gone between the two statements: its request failed, the next try starts afresh.
  if (row === undefined) return { kind: 'in-flight' }
  if (!row.same) return { kind: 'other-body' }
  if (row.status === null || row.sealed === null) return { kind: 'in-flight' }
  return { kind: 'answered', status: row.status, sealed: row.sealed }
}

export async function keepIdempotentAnswer(
  sql: Queryable,
  keyHash: Buffer,
  status: number,
  sealed: string,
): Promise<void> {
  await sql`
    update idempotency_keys set status = ${status}, response = ${sql.json({ sealed })}
    where key_hash = ${keyHash} and status is null`
}

export async function releaseIdempotencyKey(sql: Queryable, keyHash: Buffer): Promise<void> {
  await sql`delete from idempotency_keys where key_hash = ${keyHash} and status is null`
}
