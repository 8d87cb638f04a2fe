// Closing of sessions that fell silent. A session that gets a late event is opened again by persist.
import { BUCKET_RANGES, BUCKETS } from '../domain/buckets.ts'
import type { Queryable } from './sql.ts'

const WIDTH = BUCKETS / BUCKET_RANGES

/**
 * Closes the sessions of one bucket range (0-15) whose last event is before `silentSince`; returns how many.
 * Under READ COMMITTED a session that a concurrent group lengthens is looked at again before it is closed.
 * Needs the partial index sessions_open.
 */
export async function closeSessions(
  sql: Queryable,
  range: number,
  silentSince: Date,
  now: Date,
): Promise<number> {
  const closed = await sql`
    update sessions
    set closed_at = ${now}
    where bucket between ${range * WIDTH} and ${range * WIDTH + WIDTH - 1}
      and closed_at is null
      and started_at < ${silentSince}
      and ended_at < ${silentSince}`
  return closed.count
}
