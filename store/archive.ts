// Archive gaps: batches that ingest did not put on the archive queue because it was over its budget, and reading their
// events back from Postgres.
import { EVENT_TYPES, type NormalEvent } from '../schema/event.ts'
import { intArray, textArray } from './arrays.ts'
import { inTransaction, type Queryable, type Sql } from './sql.ts'

export type Gap = { batchId: string; events: number; fromReceived: number; toReceived: number }

/** Notes batches that were left out, each once. */
export async function recordGaps(sql: Queryable, gaps: Gap[]): Promise<void> {
  if (gaps.length === 0) return
  await sql`
    insert into archive_gaps (batch_id, events, from_received, to_received)
    select batch_id, events, at_ms(from_ms), at_ms(to_ms)
    from unnest(${textArray(gaps.map((gap) => gap.batchId))}::text[], ${intArray(gaps.map((gap) => gap.events))}::int[],
      ${intArray(gaps.map((gap) => gap.fromReceived))}::bigint[], ${intArray(gaps.map((gap) => gap.toReceived))}::bigint[])
      as g (batch_id, events, from_ms, to_ms)
    on conflict (batch_id) do nothing`
}

/** Gaps further apart than this are read back one after the other, not with everything between them. */
const JOINED_MS = 60_000

/**
 * The span of receipt times that the oldest open gaps cover, up to `limit` of them and only those received before
 * `before`; it ends where no gap follows within a minute.
 */
export async function openGapSpan(
  sql: Queryable,
  options: { before: Date; limit: number },
): Promise<{ from: Date; to: Date; batchIds: string[] } | undefined> {
  const rows = await sql<{ batch_id: string; from_received: Date; to_received: Date }[]>`
    select batch_id, from_received, to_received from archive_gaps
    where filled_at is null and to_received < ${options.before}
    order by from_received limit ${options.limit}`
  const [first] = rows
  if (first === undefined) return undefined
  let to = first.to_received.getTime()
  const batchIds: string[] = []
  for (const row of rows) {
    if (row.from_received.getTime() > to + JOINED_MS) break
    to = Math.max(to, row.to_received.getTime())
    batchIds.push(row.batch_id)
  }
  return { from: first.from_received, to: new Date(to), batchIds }
}

export async function closeGaps(sql: Queryable, batchIds: string[]): Promise<void> {
  await sql`update archive_gaps set filled_at = now() where batch_id = any(${textArray(batchIds)}::text[]) and filled_at is null`
}

/** Events received in a span, in the one form again, in slices; memory holds one slice. */
export async function* readEventsReceived(
  sql: Queryable,
  span: { from: Date; to: Date },
  slice: number,
): AsyncGenerator<NormalEvent[]> {
  let after: { received: Date; messageId: string } = {
    received: new Date(span.from.getTime() - 1),
    messageId: '',
  }
  for (;;) {
    const rows = await sql<Record<string, unknown>[]>`
      select e.message_id, m.hash::text as hash, e.source_id, n.type, n.name, e.user_id, e.anonymous_id, e.time, e.received_at,
        e.value::text as value, e.currency, e.marks, e.properties::text as properties, e.envelope::text as envelope
      from events e
      join event_names n using (event_id)
      join message_ids m on m.id = substr(encode(sha256(convert_to(e.message_id, 'UTF8')), 'hex'), 1, 32)::uuid
      where e.received_at between ${span.from} and ${span.to}
        and (e.received_at, e.message_id) > (${after.received}, ${after.messageId})
      order by e.received_at, e.message_id
      limit ${slice}`
    if (rows.length === 0) return
    const events = rows.map(toNormalEvent)
    yield events
    const last = events.at(-1)
    if (last === undefined || rows.length < slice) return
    after = { received: new Date(last.receivedAt), messageId: last.messageId }
  }
}

function toNormalEvent(row: Record<string, unknown>): NormalEvent {
  const type = EVENT_TYPES.find((known) => known === row.type) ?? 'track'
  const properties = String(row.properties)
  return {
    messageId: String(row.message_id),
    hash: String(row.hash),
    sourceId: Number(row.source_id),
    type,
    name: String(row.name),
    ...(row.user_id === null ? {} : { userId: String(row.user_id) }),
    ...(row.anonymous_id === null ? {} : { anonymousId: String(row.anonymous_id) }),
    time: (row.time as Date).getTime(),
    receivedAt: (row.received_at as Date).getTime(),
    ...(row.value === null ? {} : { value: String(row.value), currency: String(row.currency) }),
    marks: Number(row.marks),
    ...(type === 'identify' ? { traits: JSON.parse(properties) } : {}),
    properties,
    envelope: String(row.envelope),
  }
}

/** Runs `work` while holding the load lock of this namespace; undefined when another process holds it. */
export async function withLoadLock<T>(sql: Sql, work: () => Promise<T>): Promise<T | undefined> {
  return inTransaction(sql, async (tx) => {
    await tx`set local idle_in_transaction_session_timeout = 0`
    const [row] = await tx<{ taken: boolean }[]>`
      select pg_try_advisory_xact_lock(hashtextextended(current_schema() || '.bigquery', 0)) as taken`
    return row?.taken === true ? work() : undefined
  })
}
