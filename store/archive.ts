// Archive gaps: batches that ingest did not put on the archive queue because it was over its budget, and reading their
// events back from Postgres.
import { rangeOfMessage } from '../domain/buckets.ts'
import { EVENT_TYPES, type NormalEvent } from '../schema/event.ts'
import { intArray, textArray } from './arrays.ts'
import type { Servers } from './servers.ts'
import type { Queryable, Sql } from './sql.ts'

export type Gap = { batchId: string; events: number; fromReceived: number; toReceived: number }

/** Notes batches that were left out, each once; a batch that is replayed after its gap was filled opens it again. */
export async function recordGaps(sql: Queryable, gaps: Gap[]): Promise<void> {
  if (gaps.length === 0) return
  await sql`
    insert into archive_gaps (batch_id, events, from_received, to_received)
    select batch_id, events, at_ms(from_ms), at_ms(to_ms)
    from unnest(${textArray(gaps.map((gap) => gap.batchId))}::text[], ${intArray(gaps.map((gap) => gap.events))}::int[],
      ${intArray(gaps.map((gap) => gap.fromReceived))}::bigint[], ${intArray(gaps.map((gap) => gap.toReceived))}::bigint[])
      as g (batch_id, events, from_ms, to_ms)
    on conflict (batch_id) do update set filled_at = null`
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

/** Events received in a span, in the one form again, in slices, one server after the other; memory holds one slice. */
export async function* readEventsReceived(
  servers: Servers,
  span: { from: Date; to: Date },
  slice: number,
): AsyncGenerator<NormalEvent[]> {
  let names = await readEventNames(servers.home)
  for (const sql of servers.all) {
    for await (const rows of slicesReceived(sql, span, slice)) {
      const hashes = await readHashes(servers, rows)
      // Names come while this reads.
      if (rows.some((row) => !names.has(row.event_id))) names = await readEventNames(servers.home)
      yield rows.map((row) => toNormalEvent(row, hashes.get(row.id) ?? '0', names.get(row.event_id)))
    }
  }
}

async function* slicesReceived(
  sql: Queryable,
  span: { from: Date; to: Date },
  slice: number,
): AsyncGenerator<StoredRow[]> {
  let after = { received: new Date(span.from.getTime() - 1), messageId: '' }
  for (;;) {
    // Every slice looks at the span once more (brin on received_at).
    const rows = await sql<StoredRow[]>`
      select message_id, substr(encode(sha256(convert_to(message_id, 'UTF8')), 'hex'), 1, 32) as id, event_id, source_id,
        user_id, anonymous_id, time, received_at, value::text as value, currency, marks, properties::text as properties,
        envelope::text as envelope
      from events
      where received_at between ${span.from} and ${span.to}
        and (received_at, message_id) > (${after.received}, ${after.messageId})
      order by received_at, message_id
      limit ${slice}`
    if (rows.length > 0) yield [...rows]
    const last = rows.at(-1)
    if (last === undefined || rows.length < slice) return
    after = { received: last.received_at, messageId: last.message_id }
  }
}

type EventName = { event_id: number; type: string; name: string }

async function readEventNames(sql: Queryable): Promise<Map<number, EventName>> {
  const rows = await sql<EventName[]>`select event_id, type, name from event_names`
  return new Map(rows.map((row) => [row.event_id, row]))
}

/** Payload hashes by the id of the message; a message id past its retention has none any more. */
async function readHashes(servers: Servers, rows: StoredRow[]): Promise<Map<string, string>> {
  const hashes = new Map<string, string>()
  const byServer = Map.groupBy(rows, (row) => servers.ofRange(rangeOfMessage(row.id)))
  for (const [sql, some] of byServer) {
    const found = await sql<{ id: string; hash: string }[]>`
      select replace(id::text, '-', '') as id, hash::text as hash
      from message_ids where id = any(${textArray(some.map((row) => row.id))}::uuid[])`
    for (const { id, hash } of found) hashes.set(id, hash)
  }
  return hashes
}

type StoredRow = {
  message_id: string
  /** Its key in message_ids, without dashes. */
  id: string
  event_id: number
  source_id: number
  user_id: string | null
  anonymous_id: string | null
  time: Date
  received_at: Date
  value: string | null
  currency: string | null
  marks: number
  properties: string
  envelope: string
}

/** Without `traits` and `previousId`, which only persist needs; both are in the texts. */
function toNormalEvent(row: StoredRow, hash: string, event: EventName | undefined): NormalEvent {
  return {
    messageId: row.message_id,
    hash,
    sourceId: row.source_id,
    type: EVENT_TYPES.find((known) => known === event?.type) ?? 'track',
    name: event?.name ?? '',
    ...(row.user_id === null ? {} : { userId: row.user_id }),
    ...(row.anonymous_id === null ? {} : { anonymousId: row.anonymous_id }),
    time: row.time.getTime(),
    receivedAt: row.received_at.getTime(),
    ...(row.value === null ? {} : { value: row.value }),
    ...(row.currency === null ? {} : { currency: row.currency }),
    marks: row.marks,
    properties: row.properties,
    envelope: row.envelope,
  }
}

/**
 * Runs `work` while holding the load lock of this namespace; undefined when another process holds it. The lock belongs to
 * a connection rather than a transaction: a load takes minutes, and an open transaction would hold back vacuum.
 */
export async function withLoadLock<T>(sql: Sql, work: () => Promise<T>): Promise<T | undefined> {
  const session = await sql.reserve()
  try {
    const [row] = await session<{ taken: boolean }[]>`
      select pg_try_advisory_lock(hashtextextended(current_schema() || '.bigquery', 0)) as taken`
    if (row?.taken !== true) return undefined
    try {
      return await work()
    } finally {
      await session`select pg_advisory_unlock(hashtextextended(current_schema() || '.bigquery', 0))`
    }
  } finally {
    session.release()
  }
}
