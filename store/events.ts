// The events table family: staging by COPY, the exactly-once insert, event names as numbers, partitions on demand.
import { once } from 'node:events'
import type { NormalEvent } from '../schema/event.ts'
import type { Queryable, Sql, Transaction } from './sql.ts'

/** An event with all that its row needs. `id` = message id as a uuid. */
export type EventRow = { event: NormalEvent; id: string; eventId: number; bucket: number; profileId: number }

/** Makes the connection's staging table; it empties itself at commit. */
export async function openStage(tx: Transaction): Promise<void> {
  await tx`
    create temporary table if not exists event_stage (
      ord integer, id uuid, hash bigint, bucket smallint, event_id smallint, source_id smallint, marks smallint,
      profile_id bigint, time_ms bigint, received_ms bigint, value bigint, currency text,
      message_id text, user_id text, anonymous_id text, properties text, envelope text
    ) on commit delete rows`
}

/**
 * Copies rows into the staging table in one stream; `ord` is the index in `rows`. JSON is staged as text and parsed once,
 * by the insert, whose errors carry their SQLSTATE.
 */
export async function copyToStage(tx: Transaction, rows: EventRow[]): Promise<void> {
  const copy = tx`copy event_stage from stdin`
  const stream = await copy.writable()
  const done = once(stream, 'finish')
  // The driver resolves the query when the stream opens and then reports a failed COPY to its spent `reject`, so that
  // nothing would ever settle: this is where we hear of it.
  const failed = new Promise<never>((_, reject) => {
    Object.assign(copy, { reject })
    stream.once('error', reject)
  })
  failed.catch(() => {})
  for (let from = 0; from < rows.length; from += 500) {
    const lines: string[] = []
    for (let ord = from; ord < Math.min(from + 500, rows.length); ord++) {
      const row = rows[ord]
      if (row !== undefined) lines.push(copyLine(ord, row))
    }
    if (!stream.write(lines.join(''))) await Promise.race([once(stream, 'drain'), failed])
  }
  stream.end()
  await Promise.race([done, failed])
}

function copyLine(ord: number, row: EventRow): string {
  const e = row.event
  return `${ord}\t${row.id}\t${e.hash}\t${row.bucket}\t${row.eventId}\t${e.sourceId}\t${e.marks}\t${row.profileId}\t${e.time}\t${e.receivedAt}\t${tailOf(e)}`
}

/** A row of the events table itself in COPY's text form, for imports and the benchmark's yardstick. */
export function encodeEvent(row: EventRow): string {
  const e = row.event
  return `${row.bucket}\t${row.eventId}\t${e.sourceId}\t${e.marks}\t${row.profileId}\t${new Date(e.time).toISOString()}\t${new Date(e.receivedAt).toISOString()}\t${tailOf(e)}`
}

function tailOf(e: NormalEvent): string {
  return `${e.value ?? '\\N'}\t${e.currency ?? '\\N'}\t${escapeCopy(e.messageId)}\t${escapeOrNull(e.userId)}\t${escapeOrNull(e.anonymousId)}\t${escapeCopy(e.properties)}\t${escapeCopy(e.envelope)}\n`
}

const COPY_SPECIAL = /[\\\t\n\r]/
const COPY_ESCAPES: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

function escapeCopy(text: string): string {
  return COPY_SPECIAL.test(text) ? text.replace(/[\\\t\n\r]/g, (char) => COPY_ESCAPES[char] ?? char) : text
}

function escapeOrNull(text: string | undefined): string {
  return text === undefined ? '\\N' : escapeCopy(text)
}

/**
 * Keeps the staged rows, each message id once. Returns the `ord` of rows whose id was already kept, with
 * `conflict` = it was kept with another payload. Ids are inserted in order, so two groups with the same ids wait for
 * each other instead of deadlocking.
 */
export async function keepStaged(tx: Transaction): Promise<{ ord: number; conflict: boolean }[]> {
  const repeated = await tx<{ ord: number }[]>`
    with fresh as (
      insert into message_ids (id, hash, received_at)
      select id, hash, at_ms(received_ms) from event_stage order by id
      on conflict (id) do nothing
      returning id
    ), kept as (
      insert into events (bucket, event_id, source_id, marks, profile_id, time, received_at, value, currency,
        message_id, user_id, anonymous_id, properties, envelope)
      select s.bucket, s.event_id, s.source_id, s.marks, s.profile_id, at_ms(s.time_ms), at_ms(s.received_ms), s.value, s.currency,
        s.message_id, s.user_id, s.anonymous_id, s.properties::jsonb, s.envelope::json
      from event_stage s
      join fresh using (id)
      on conflict (profile_id, event_id, time, message_id, bucket) do nothing
    )
    select s.ord from event_stage s
    left join fresh using (id)
    where fresh.id is null`
  if (repeated.length === 0) return []
  // Its own statement: an id that a concurrent group just committed is not in the snapshot of the one above.
  return tx<{ ord: number; conflict: boolean }[]>`
    select s.ord, m.hash <> s.hash as conflict
    from event_stage s
    join message_ids m using (id)
    where s.ord = any(${repeated.map((row) => row.ord)}::int[])`
}

/** Numbers of event names, making new ones; `names` are `type` and `name` pairs. A source gets at most `maxPerSource`; beyond it the number of the name ''. */
export async function numberEventNames(
  sql: Queryable,
  names: { type: string; name: string; sourceId: number }[],
  maxPerSource: number,
): Promise<{ type: string; name: string; eventId: number }[]> {
  const types = names.map((entry) => entry.type)
  const texts = names.map((entry) => entry.name)
  await sql`
    insert into event_names (type, name, source_id)
    select n.type, n.name, n.source_id
    from unnest(${types}::text[], ${texts}::text[], ${names.map((entry) => entry.sourceId)}::smallint[]) as n (type, name, source_id)
    where n.name = '' or (select count(*) from event_names e where e.source_id = n.source_id) < ${maxPerSource}
    on conflict (type, name) do nothing`
  const rows = await sql<{ type: string; name: string; event_id: number }[]>`
    select n.type, n.name, coalesce(e.event_id, other.event_id) as event_id
    from unnest(${types}::text[], ${texts}::text[]) as n (type, name)
    left join event_names e on e.type = n.type and e.name = n.name
    left join event_names other on other.type = n.type and other.name = ''`
  return rows.map((row) => ({ type: row.type, name: row.name, eventId: row.event_id }))
}

/** Makes the partitions of (bucket range, week) pairs; weeks are Mondays as `YYYY-MM-DD`. Runs outside the caller's transaction. */
export async function ensureEventPartitions(
  sql: Sql,
  pairs: { range: number; week: string }[],
): Promise<void> {
  for (let from = 0; from < pairs.length; from += 64) {
    const slice = pairs.slice(from, from + 64)
    await sql`
      select ensure_event_partition(p.range, p.week)
      from unnest(${slice.map((pair) => pair.range)}::int[], ${slice.map((pair) => pair.week)}::date[]) as p (range, week)
      order by p.range, p.week`
  }
}

const DAY_MS = 86_400_000

/** Monday of the UTC week of a time, as `YYYY-MM-DD` (SQL: week_of). */
export function weekOf(timeMs: number): string {
  // 1970-01-01 was a Thursday: day 4 of the epoch week is Monday 1970-01-05.
  const days = Math.floor(timeMs / DAY_MS)
  const monday = days - ((((days - 4) % 7) + 7) % 7)
  return new Date(monday * DAY_MS).toISOString().slice(0, 10)
}
