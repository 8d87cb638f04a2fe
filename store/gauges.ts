// What the exporter shows of Postgres beside the queues, asked for every half minute. Each is answered from an index, the
// catalogue or the server's own statistics; none grows with the stored events.
import type { Queryable } from './sql.ts'

export type StoreGauges = {
  connections: number
  /** What ordinary users may have: without those kept for the superuser. */
  connectionsMax: number
  databaseBytes: number
  archiveGapsOpen: number
  /** Age of the oldest change that nobody was told of; 0 when there is none. */
  unannouncedAgeSeconds: number
  /** Null while some range has no partition at all. */
  partitionWeeksAhead: number | null
}

export async function readStoreGauges(sql: Queryable): Promise<StoreGauges> {
  const [server] = await sql<{ connections: number; connections_max: number; database_bytes: number }[]>`
    select
      (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as connections,
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as connections_max,
      pg_database_size(current_database()) as database_bytes`
  // Indexes archive_gaps_open and membership_changes_unannounced hold open rows only.
  const [open] = await sql<{ gaps: number; unannounced_age: number | null }[]>`
    select
      (select count(*)::int from archive_gaps where filled_at is null) as gaps,
      (
        select extract(epoch from clock_timestamp() - recorded_at)::float8
        from membership_changes
        where announced_at is null
        order by recorded_at
        limit 1
      ) as unannounced_age`
  const [partitions] = await sql<{ weeks_ahead: number | null }[]>`
    select (min(newest) - week_of(now())) / 7 as weeks_ahead
    from (
      select max(to_date(right(child.relname, 8), 'YYYYMMDD')) as newest
      from pg_class parent
      left join pg_inherits i on i.inhparent = parent.oid
      left join pg_class child on child.oid = i.inhrelid
      where parent.relnamespace = current_schema()::regnamespace and parent.relname ~ '^events_b[0-9]{2}$'
      group by parent.oid
    ) ranges
    having count(*) = count(newest)`
  if (server === undefined || open === undefined) throw new Error('Postgres said nothing of itself')
  return {
    connections: server.connections,
    connectionsMax: server.connections_max,
    databaseBytes: server.database_bytes,
    archiveGapsOpen: open.gaps,
    unannouncedAgeSeconds: Math.max(0, open.unannounced_age ?? 0),
    partitionWeeksAhead: partitions?.weeks_ahead ?? null,
  }
}

/** Of several servers: the connections of the fullest, the bytes of all, and of the rest whatever is furthest behind. */
export function gaugesOfAll(all: StoreGauges[]): StoreGauges {
  return all.reduce((worst, one) => {
    const fuller =
      one.connections / one.connectionsMax > worst.connections / worst.connectionsMax ? one : worst
    const weeks = [worst.partitionWeeksAhead, one.partitionWeeksAhead]
    return {
      connections: fuller.connections,
      connectionsMax: fuller.connectionsMax,
      databaseBytes: worst.databaseBytes + one.databaseBytes,
      archiveGapsOpen: worst.archiveGapsOpen + one.archiveGapsOpen,
      unannouncedAgeSeconds: Math.max(worst.unannouncedAgeSeconds, one.unannouncedAgeSeconds),
      partitionWeeksAhead: weeks.includes(null) ? null : Math.min(...weeks.map((week) => week ?? 0)),
    }
  })
}
