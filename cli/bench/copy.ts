// The yardstick: bare COPY of the very same rows, already encoded, into the same tables in a namespace of its own, with
// the same keys, partitions and settings. Everything the pipeline does is compared with it within one run.

import { hash } from 'node:crypto'
import { once } from 'node:events'
import { bucketOf } from '../../domain/buckets.ts'
import { normalise } from '../../domain/normalise.ts'
import { migrate } from '../../schema/migrate.ts'
import { encodeEvent, encodeMessageId, ensureEventPartitions, weekOf } from '../../store/events.ts'
import { connectSql, type Queryable } from '../../store/sql.ts'
import { eventText } from './load.ts'

const NAMESPACE = 'bench_copy'
/** Message ids are claimed in order within a group, as persist does. */
const GROUP_ROWS = 5000

export type CopyYardstick = {
  /** Rows with all their keys: `events`, and the exactly-once key in `message_ids`, in one transaction. */
  rowsPerSecond(): Promise<number>
  /** `events` alone, without the key that makes them single. */
  eventRowsPerSecond(): Promise<number>
  close(): Promise<void>
}

/** Encodes `rows` events once; each measurement counts COPY with its commit and leaves empty tables. */
export async function openCopyYardstick(
  databaseUrl: string,
  options: { rows: number; users: number },
): Promise<CopyYardstick> {
  await migrate(databaseUrl, NAMESPACE)
  const sql = connectSql({
    url: databaseUrl,
    namespace: NAMESPACE,
    max: 1,
    applicationName: 'bench-copy',
    statementTimeoutMs: 300_000,
  })
  const now = Date.now()
  await ensureEventPartitions(
    sql,
    Array.from({ length: 16 }, (_, range) => ({ range, week: weekOf(now) })),
  )
  const { events, messageIds } = encode(options.rows, options.users, now)
  const measure = async (copy: () => Promise<unknown>) => {
    const startedAt = performance.now()
    await copy()
    const rate = options.rows / ((performance.now() - startedAt) / 1000)
    // What stayed would be vacuumed and analysed while the pipeline is measured.
    await sql`truncate events, message_ids`
    return rate
  }
  const copyEvents = (tx: Queryable) => write(tx`copy events from stdin`, events)
  return {
    rowsPerSecond: () =>
      measure(() =>
        sql.begin(async (tx) => {
          await write(tx`copy message_ids from stdin`, messageIds)
          await copyEvents(tx)
        }),
      ),
    eventRowsPerSecond: () => measure(() => copyEvents(sql)),
    async close() {
      await sql.end({ timeout: 5 })
    },
  }
}

async function write(copy: ReturnType<Queryable>, chunks: Buffer[]): Promise<void> {
  const stream = await copy.writable()
  for (const chunk of chunks) if (!stream.write(chunk)) await once(stream, 'drain')
  stream.end()
  await once(stream, 'finish')
}

function encode(rows: number, users: number, nowMs: number): { events: Buffer[]; messageIds: Buffer[] } {
  const events: Buffer[] = []
  const messageIds: Buffer[] = []
  const request = { sourceId: 1, receivedAt: nowMs }
  for (let from = 0; from < rows; from += GROUP_ROWS) {
    const eventLines: string[] = []
    const idLines: string[] = []
    for (let i = from; i < Math.min(from + GROUP_ROWS, rows); i++) {
      const text = eventText('server', 'copy', i, { users, nowMs })
      const event = normalise(JSON.parse(text), request, 300_000)
      const bucket = bucketOf(event.userId ?? '')
      const profileId = (Number.parseInt((event.userId ?? '').slice(5), 10) + 1) * 1024 + bucket
      const id = hash('sha256', event.messageId, 'hex').slice(0, 32)
      const row = { event, id, eventId: 1 + (i % 5), bucket, profileId }
      eventLines.push(encodeEvent(row))
      idLines.push(encodeMessageId(row))
    }
    events.push(Buffer.from(eventLines.join('')))
    messageIds.push(Buffer.from(idLines.sort().join('')))
  }
  return { events, messageIds }
}
