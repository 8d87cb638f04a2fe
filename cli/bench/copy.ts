// The yardstick: bare COPY of the very same rows, already encoded, into the same table in a namespace of its own, with
// the same keys, partitions and settings. Everything the pipeline does is compared with it within one run.

import { hash } from 'node:crypto'
import { once } from 'node:events'
import { bucketOf } from '../../domain/buckets.ts'
import { normalise } from '../../domain/normalise.ts'
import { migrate } from '../../schema/migrate.ts'
import { encodeEvent, ensureEventPartitions, weekOf } from '../../store/events.ts'
import { connectSql } from '../../store/sql.ts'
import { eventText } from './load.ts'

const NAMESPACE = 'bench_copy'

export type CopyYardstick = { rowsPerSecond(): Promise<number>; close(): Promise<void> }

/** Encodes `rows` events once; each measurement empties the table first and counts COPY with its commit. */
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
  const chunks = encode(options.rows, options.users, now)
  return {
    async rowsPerSecond() {
      await sql`truncate events`
      const startedAt = performance.now()
      const stream = await sql`copy events from stdin`.writable()
      for (const chunk of chunks) if (!stream.write(chunk)) await once(stream, 'drain')
      stream.end()
      await once(stream, 'finish')
      return options.rows / ((performance.now() - startedAt) / 1000)
    },
    async close() {
      await sql`truncate events`
      await sql.end({ timeout: 5 })
    },
  }
}

function encode(rows: number, users: number, nowMs: number): Buffer[] {
  const chunks: Buffer[] = []
  let lines: string[] = []
  const request = { sourceId: 1, receivedAt: nowMs }
  for (let i = 0; i < rows; i++) {
    const event = normalise(JSON.parse(eventText('server', 'copy', i, { users, nowMs })), request, 300_000)
    const bucket = bucketOf(event.userId ?? '')
    const profileId = (Number.parseInt((event.userId ?? '').slice(5), 10) + 1) * 1024 + bucket
    lines.push(
      encodeEvent({
        event,
        id: hash('sha256', event.messageId, 'hex').slice(0, 32),
        eventId: 1 + (i % 5),
        bucket,
        profileId,
      }),
    )
    if (lines.length === 1000) {
      chunks.push(Buffer.from(lines.join('')))
      lines = []
    }
  }
  chunks.push(Buffer.from(lines.join('')))
  return chunks
}
