// Rows that have had their time, deleted in slices so that no statement runs long and vacuum keeps up. Called by the
// schedule pool; event partitions are dropped whole by store/partitions.ts.
import type { Queryable } from './sql.ts'

/** Deletes at most `limit` message ids received before a time; returns how many. Uses the BRIN index on received_at. */
export async function deleteMessageIdsBefore(sql: Queryable, before: Date, limit: number): Promise<number> {
  const deleted = await sql`
    delete from message_ids
    where ctid = any(array(
      select ctid from message_ids where received_at < ${before} limit ${limit}
    ))`
  return deleted.count
}

/** Answers kept for a day, the time in which a client may send its request again. */
export async function deleteIdempotencyKeysBefore(sql: Queryable, before: Date): Promise<number> {
  const deleted = await sql`delete from idempotency_keys where created_at < ${before}`
  return deleted.count
}

/** Failures that were sent again or given up: they hold raw events, so they go after a while. Open ones stay. */
export async function deleteResolvedFailuresBefore(sql: Queryable, before: Date): Promise<number> {
  const deleted = await sql`delete from failed_events where resolved_at < ${before}`
  return deleted.count
}
