// What a reader of archive files sees.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { ArchiveRecord } from '../../schema/archive-record.ts'

/** Archive files under a folder, by their path inside it. */
export async function archiveFiles(dir: string): Promise<string[]> {
  const names = await readdir(dir, { recursive: true }).catch(() => [])
  return names.filter((name) => name.endsWith('.ndjson.gz')).sort()
}

/** Every line of every file: copies are not taken out. */
export async function archiveRecords(dir: string): Promise<ArchiveRecord[]> {
  const records: ArchiveRecord[] = []
  for (const name of await archiveFiles(dir)) {
    const text = gunzipSync(await readFile(join(dir, name))).toString()
    for (const line of text.trimEnd().split('\n')) records.push(JSON.parse(line))
  }
  return records
}
