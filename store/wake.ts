// Wakes people for what no event tells of: a message that was sent, an address that was suppressed. A wake-up is a segment
// timer that is due now, on the server that has the person's rows: it outlives every process, and Redis.
import { intArray } from './arrays.ts'
import type { Servers } from './servers.ts'
import type { Queryable } from './sql.ts'

/**
 * What `leased_until` says of a timer that was set to wake: a pass that began before may not move or clear it (store/memberships.ts),
 * as it may have read what is news now. Whoever takes it as due leases it, and the pass that follows may.
 */
export const woken = (sql: Queryable) => sql`timestamptz 'epoch'`

/** The schedule pool names them to the segment pool within seconds. Of profiles that exist; twice is once. */
export async function wakeProfiles(servers: Servers, profileIds: number[]): Promise<void> {
  const byServer = Map.groupBy(profileIds, (profileId) => servers.of(profileId))
  for (const [sql, own] of byServer) {
    await sql`
      insert into segment_timers as t (bucket, profile_id, wake_at, leased_until)
      select profile_id & 1023, profile_id, date_trunc('milliseconds', clock_timestamp()), ${woken(sql)}
      from unnest(${intArray(own)}::bigint[]) as w (profile_id)
      order by profile_id & 1023, profile_id
      on conflict (bucket, profile_id) do update
      set wake_at = least(t.wake_at, excluded.wake_at), leased_until = excluded.leased_until`
  }
}
