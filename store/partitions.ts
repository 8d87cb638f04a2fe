// Event partitions as the clock keeps them: made ahead of time and dropped when they are past retention. Called by the
// schedule pool; persist makes missing ones on demand through store/events.ts.
import { BUCKET_RANGES } from '../domain/buckets.ts'
import type { Queryable, Sql } from './sql.ts'

/** Of one range of buckets: the parent of its weeks. */
export const eventsTable = (range: number) => `events_b${String(range).padStart(2, '0')}`

/** Makes the partitions of all bucket ranges for the given weeks (Mondays, `YYYY-MM-DD`); returns how many were missing. */
export async function makePartitions(sql: Queryable, weeks: string[]): Promise<number> {
  // In one order, like store/events.ts: two makers wait for each other instead of deadlocking.
  const rows = await sql<{ made: boolean }[]>`
    select ensure_event_partition(p.range, p.week) as made
    from (
      select r.range, w.week
      from generate_series(0, ${BUCKET_RANGES - 1}::int) as r (range)
      cross join unnest(${weeks}::date[]) as w (week)
      order by r.range, w.week
    ) p`
  return rows.filter((row) => row.made).length
}

export type EventPartition = { parent: string; name: string; week: Date; detaching: boolean }

/** Partitions whose whole week lies before `before`, oldest first; `detaching` = an earlier drop was interrupted. */
export async function partitionsBefore(sql: Queryable, before: Date): Promise<EventPartition[]> {
  return sql<EventPartition[]>`
    select parent.relname as parent, child.relname as name, w.week, i.inhdetachpending as detaching
    from pg_inherits i
    join pg_class parent on parent.oid = i.inhparent
    join pg_class child on child.oid = i.inhrelid
    cross join lateral (
      select to_date(right(child.relname, 8), 'YYYYMMDD')::timestamp at time zone 'UTC' as week
    ) w
    where child.relnamespace = current_schema()::regnamespace
      and parent.relname ~ '^events_b[0-9]{2}$'
      and child.relname ~ '^events_b[0-9]{2}_[0-9]{8}$'
      and w.week + interval '7 days' <= ${before}
    order by w.week, child.relname`
}

/** Takes one partition out of the way of readers and writers without blocking them, then drops it. */
export async function dropPartition(sql: Sql, partition: EventPartition): Promise<void> {
  // Concurrently: a plain detach locks the whole parent, and ingest would wait for the slowest reader.
  await sql`
    alter table ${sql(partition.parent)}
    detach partition ${sql(partition.name)} ${partition.detaching ? sql`finalize` : sql`concurrently`}`
  await sql`drop table ${sql(partition.name)}`
}

/**
 * Partitions of weeks before `before` that were detached but not dropped, because the process died in between: plain
 * tables by now. Newer ones are left alone: they may be about to be attached.
 */
export async function orphanedPartitions(sql: Queryable, before: Date): Promise<string[]> {
  const rows = await sql<{ name: string }[]>`
    select c.relname as name
    from pg_class c
    left join pg_inherits i on i.inhrelid = c.oid
    where c.relnamespace = current_schema()::regnamespace
      and c.relkind = 'r'
      and c.relname ~ '^events_b[0-9]{2}_[0-9]{8}$'
      and i.inhrelid is null
      and (to_date(right(c.relname, 8), 'YYYYMMDD') + 7)::timestamp at time zone 'UTC' <= ${before}
    order by c.relname`
  return rows.map((row) => row.name)
}

export async function dropOrphan(sql: Sql, name: string): Promise<void> {
  await sql`drop table if exists ${sql(name)}`
}

/** How far back some source may still send (ms); null = none goes beyond the retention of the deployment. */
export async function oldestAccepted(sql: Queryable): Promise<Date | null> {
  const [row] = await sql<{ since: Date | null }[]>`select min(accept_events_since) as since from sources`
  return row?.since ?? null
}
