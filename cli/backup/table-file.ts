// One table of a backup as a gzipped file: written with its size and SHA-256, which are checked when it is read again.
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { type Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { fail } from '../../runtime/errors.ts'

export type TableFile = { bytes: number; sha256: string }

const NEWLINE = 0x0a

/** Writes the rows to `path`; `onRows` is told how many more there are. Sizes and hash are of the rows, not of the file. */
export async function writeTableFile(
  path: string,
  rows: Readable,
  onRows: (count: number) => void,
): Promise<TableFile> {
  const meter = createMeter(onRows)
  const file = createWriteStream(path, { mode: 0o600, flags: 'wx', flush: true })
  await pipeline(rows, meter.stream, createGzip({ level: 1 }), file)
  return meter.read()
}

/** The rows of a file. Once they are read, `check` throws when they are not those that were written. */
export function readTableFile(
  path: string,
  onRows: (count: number) => void,
): { rows: Readable; check(expected: TableFile): void } {
  const meter = createMeter(onRows)
  const source = createReadStream(path)
  const unpacked = createGunzip()
  source.on('error', (error) => meter.stream.destroy(error))
  unpacked.on('error', (error) => meter.stream.destroy(error))
  return {
    rows: source.pipe(unpacked).pipe(meter.stream),
    check(expected) {
      const { bytes, sha256 } = meter.read()
      if (bytes !== expected.bytes || sha256 !== expected.sha256)
        throw fail(
          'conflict',
          `${path} is not as it was written: it holds ${bytes} of ${expected.bytes} bytes`,
        )
    },
  }
}

function createMeter(onRows: (count: number) => void): { stream: Transform; read(): TableFile } {
  const hash = createHash('sha256')
  let bytes = 0
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length
      hash.update(chunk)
      let count = 0
      for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) count += 1
      onRows(count)
      done(null, chunk)
    },
  })
  return { stream, read: () => ({ bytes, sha256: hash.copy().digest('hex') }) }
}
