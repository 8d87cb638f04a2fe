// Files that wait to be loaded: their names say which span of event times they hold, and many are put together into one
// upload, because BigQuery allows 1,500 loads a table and day.
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'

/** Of one load: about 2,000,000 events at most. */
const MAX_FILES = 400

export type StagedFile = { name: string; path: string; fromMs: number; toMs: number }

const NAME = /^staged_(-?\d+)_(-?\d+)_[0-9a-f]+\.ndjson\.gz$/

export function stagedName(key: string, times: { fromMs: number; toMs: number }): string {
  return `staged_${times.fromMs}_${times.toMs}_${key}.ndjson.gz`
}

/** What waits, in a fixed order, at most one load of it. */
export async function listStaged(dir: string): Promise<StagedFile[]> {
  const names = await readdir(dir)
  return names
    .sort()
    .flatMap((name) => {
      const times = NAME.exec(name)
      if (times === null) return []
      return [{ name, path: join(dir, name), fromMs: Number(times[1]), toMs: Number(times[2]) }]
    })
    .slice(0, MAX_FILES)
}

/** The same files, the same key. */
export function loadKey(files: StagedFile[]): string {
  return createHash('sha256')
    .update(files.map((file) => file.name).join('\n'))
    .digest('hex')
    .slice(0, 24)
}

/** All lines of the files in one gzip stream: readers of several in one file may stop after the first. */
export async function bundle(files: StagedFile[], path: string): Promise<void> {
  const lines = async function* () {
    for (const file of files) yield* createReadStream(file.path).pipe(createGunzip())
  }
  await pipeline(lines, createGzip({ level: 1 }), createWriteStream(path))
}

export function spanOf(files: StagedFile[]): { fromMs: number; toMs: number } {
  return {
    fromMs: Math.min(...files.map((file) => file.fromMs)),
    toMs: Math.max(...files.map((file) => file.toMs)),
  }
}
