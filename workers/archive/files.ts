// Archive files: gzipped NDJSON by day and hour of receipt, `dt=YYYY-MM-DD/hour=HH/part-<key>.ndjson.gz`, for whoever
// reads them. At least once: a retried job may stand in two files; readers keep one line a rowKey.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { archiveLine } from '../../domain/archive-line.ts'
import type { NormalBatch, NormalEvent } from '../../schema/event.ts'
import { removeLeftovers, writeDurably } from './durable-file.ts'
import type { Sink } from './sink.ts'

const compress = promisify(gzip)

/** Level 1: a third larger than level 6 for a quarter of its time. */
const GZIP_LEVEL = 1
const HOUR_MS = 3_600_000

export async function openFiles(dir: string): Promise<Sink> {
  const asideDir = join(dir, 'unfinished')
  await removeLeftovers(asideDir)
  return {
    async put(batches) {
      const key = keyOf(batches)
      const events = batches.flatMap((batch) => batch.events)
      for (const [hourNo, part] of Map.groupBy(events, (event) => Math.floor(event.receivedAt / HOUR_MS))) {
        const hour = hourText(hourNo)
        const folder = join(dir, `dt=${hour.slice(0, 10)}`, `hour=${hour.slice(11)}`)
        await writeDurably(join(folder, `part-${key}.ndjson.gz`), asideDir, await gzipLines(part))
      }
    },
    close: async () => {},
  }
}

/** Follows from the batches: the same group again is the same file. */
export function keyOf(batches: NormalBatch[]): string {
  const ids = batches.map((batch) => batch.batchId).join('\n')
  return createHash('sha256').update(ids).digest('hex').slice(0, 20)
}

/** One archive line an event, compressed off the main thread. */
export function gzipLines(events: NormalEvent[]): Promise<Buffer> {
  return compress(`${events.map(archiveLine).join('\n')}\n`, { level: GZIP_LEVEL })
}

/** `YYYY-MM-DDTHH`, UTC; hours are counted from the epoch. */
function hourText(hourNo: number): string {
  return new Date(hourNo * HOUR_MS).toISOString().slice(0, 13)
}
