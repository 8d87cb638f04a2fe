// Archive files: gzipped NDJSON by day and hour of receipt, `dt=YYYY-MM-DD/hour=HH/part-<key>.ndjson.gz`. Written aside,
// synced, renamed into place, and the folder synced, so that a reader never sees half a file and a crash loses nothing.
// At least once: a retried job may stand in two files; readers deduplicate by rowKey.
import { createHash } from 'node:crypto'
import { mkdir, open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { archiveLine } from '../../schema/archive-record.ts'
import type { NormalBatch } from '../../schema/event.ts'

const compress = promisify(gzip)

/** Writes one file an hour that the batches touch; returns the paths. The name follows from the batches. */
export async function writeArchiveFiles(dir: string, batches: NormalBatch[]): Promise<string[]> {
  const key = createHash('sha256')
    .update(batches.map((batch) => batch.batchId).join('\n'))
    .digest('hex')
    .slice(0, 20)
  const byHour = Map.groupBy(
    batches.flatMap((batch) => batch.events),
    (event) => new Date(event.receivedAt).toISOString().slice(0, 13),
  )
  const paths: string[] = []
  for (const [hour, events] of byHour) {
    const folder = join(dir, `dt=${hour.slice(0, 10)}`, `hour=${hour.slice(11)}`)
    const path = join(folder, `part-${key}.ndjson.gz`)
    await writeDurably(folder, path, await compress(`${events.map(archiveLine).join('\n')}\n`, { level: 1 }))
    paths.push(path)
  }
  return paths
}

async function writeDurably(folder: string, path: string, content: Buffer): Promise<void> {
  await mkdir(folder, { recursive: true })
  const aside = `${path}.${process.pid}.tmp`
  const file = await open(aside, 'w')
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(aside, path)
  const parent = await open(folder, 'r')
  try {
    await parent.sync()
  } finally {
    await parent.close()
  }
}
