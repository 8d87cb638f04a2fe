// The events table family: staging by COPY, the exactly-once insert, event names as numbers, partitions on demand.
import { once } from 'node:events'
import { isoTime } from '../domain/event-time.ts'
import { errorCodeOf } from '../runtime/errors.ts'
import type { NormalEvent } from '../schema/event.ts'
import { intArray, textArray } from './arrays.ts'
import { openCopyIn } from './copy-stream.ts'
import type { Queryable, Sql, Transaction } from './sql.ts'

/** An event with all that its row needs. `id` = message id as a uuid. */
export type EventRow = { event: NormalEvent; id: string; eventId: number; bucket: number; profileId: number }

/**
 * Claims the message ids of `rows`, each for good, by bare COPY: half the cost of `claimMessageIdsAnew`. When one of them
 * was claimed before, Postgres ends the transaction with a unique violation (`isRepeatedMessageId`). Ids are written in
 * order, so two groups with the same ids wait for each other instead of deadlocking.
 */
export async function claimNewMessageIds(tx: Transaction, rows: EventRow[]): Promise<void> {
  const lines = rows.map(encodeMessageId).sort()
  await copyLines(tx, tx`copy message_ids (id, hash, received_at) from stdin`, lines, (line) => line)
}

export function isRepeatedMessageId(error: unknown): boolean {
  if (errorCodeOf(error) !== '23505' || !(error instanceof Error)) return false
  return Reflect.get(error, 'constraint_name') === 'message_ids_pkey'
}

export type ClaimedBefore = { row: EventRow; conflict: boolean }

/**
 * Claims those message ids of `rows` that nobody claimed. Returns the rows of the others, with `conflict` = claimed for
 * another payload. Same order of ids as above. Without a temporary table: a transaction that used one cannot be prepared.
 */
export async function claimMessageIdsAnew(tx: Transaction, rows: EventRow[]): Promise<ClaimedBefore[]> {
  const ids = textArray(rows.map((row) => row.id))
  const repeated = await tx<{ ord: number }[]>`
    with given as materialized (
      select * from unnest(${ids}::uuid[], ${textArray(rows.map((row) => row.event.hash))}::bigint[],
        ${intArray(rows.map((row) => row.event.receivedAt))}::bigint[])
        with ordinality as g (id, hash, received_ms, position)
    ), fresh as (
      insert into message_ids (id, hash, received_at)
      select id, hash, at_ms(received_ms) from given order by id
      on conflict (id) do nothing
      returning id
    )
    select (position - 1)::int as ord from given
    left join fresh using (id)
    where fresh.id is null`
  if (repeated.length === 0) return []
  const known = repeated.flatMap(({ ord }) => rows[ord] ?? [])
  // Its own statement: an id that a concurrent group just committed is not in the snapshot of the one above.
  const stored = await tx<{ ord: number; hash: string }[]>`
    select (position - 1)::int as ord, m.hash::text as hash
    from unnest(${textArray(known.map((row) => row.id))}::uuid[]) with ordinality as g (id, position)
    join message_ids m using (id)`
  return stored.flatMap(({ ord, hash }) => {
    const row = known[ord]
    return row === undefined ? [] : [{ row, conflict: hash !== row.event.hash }]
  })
}

/** Writes events whose message ids this transaction has claimed. Their partitions are there (ensureEventPartitions). */
export async function copyEvents(tx: Transaction, rows: EventRow[]): Promise<void> {
  if (rows.length === 0) return
  await copyLines(
    tx,
    tx`
      copy events (bucket, event_id, source_id, marks, profile_id, time, received_at, value, currency,
        message_id, user_id, anonymous_id, properties, envelope)
      from stdin`,
    rows,
    encodeEvent,
  )
}

/** One COPY in a stream of chunks. */
async function copyLines<Row>(
  tx: Transaction,
  copy: ReturnType<typeof tx>,
  rows: Row[],
  line: (row: Row, ord: number) => string,
): Promise<void> {
  const { stream, failed } = await openCopyIn(copy)
  const done = once(stream, 'finish')
  // Nor may this one end the process when the connection is lost.
  done.catch(() => {})
  for (let from = 0; from < rows.length; from += CHUNK_ROWS) {
    let chunk = ''
    for (let ord = from; ord < Math.min(from + CHUNK_ROWS, rows.length); ord++) {
      const row = rows[ord]
      if (row !== undefined) chunk += line(row, ord)
    }
    if (!stream.write(chunk)) await Promise.race([once(stream, 'drain'), failed])
  }
  stream.end()
  await Promise.race([done, failed])
}

const CHUNK_ROWS = 500

/** A row of message_ids in COPY's text form. */
export function encodeMessageId({ id, event }: EventRow): string {
  return `${id}\t${event.hash}\t${isoTime(event.receivedAt)}\n`
}

/** A row of the events table in COPY's text form. */
export function encodeEvent(row: EventRow): string {
  const e = row.event
  return `${row.bucket}\t${row.eventId}\t${e.sourceId}\t${e.marks}\t${row.profileId}\t${isoTime(e.time)}\t${isoTime(e.receivedAt)}\t${tailOf(e)}`
}

function tailOf(e: NormalEvent): string {
  return `${e.value ?? '\\N'}\t${e.currency ?? '\\N'}\t${escapeCopy(e.messageId)}\t${escapeOrNull(e.userId)}\t${escapeOrNull(e.anonymousId)}\t${escapeCopy(e.properties)}\t${escapeCopy(e.envelope)}\n`
}

const COPY_SPECIAL = /[\\\t\n\r]/
const COPY_ESCAPES: Record<string, string> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' }

/** A text in COPY's form. */
export function escapeCopy(text: string): string {
  return COPY_SPECIAL.test(text) ? text.replace(/[\\\t\n\r]/g, (char) => COPY_ESCAPES[char] ?? char) : text
}

function escapeOrNull(text: string | undefined): string {
  return text === undefined ? '\\N' : escapeCopy(text)
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
