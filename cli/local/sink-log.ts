// What a local sink keeps: one JSON line a message in an append-only file, synced before the sink answers, and the last
// messages in memory for the outbox page. The file is what fault tests count.
import { createReadStream, existsSync, mkdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname } from 'node:path'

export type SinkEntry = { at: string; id: string; [field: string]: unknown }

export type SinkLog = {
  /** Resolves when the entry is on disk. */
  append(entry: SinkEntry): Promise<void>
  /** The last entries, newest first. */
  recent(): SinkEntry[]
  /** All there ever were. */
  count(): number
  close(): Promise<void>
}

const KEPT_IN_MEMORY = 500
const NEWLINE = 0x0a

/** Opens (and on a later start reads) the file of a sink. A last line that a crash tore was never answered: it is dropped. */
export async function openSinkLog(file: string): Promise<SinkLog> {
  mkdirSync(dirname(file), { recursive: true })
  const before = await readLines(file)
  const recent = before.last
  let total = before.count
  const handle = await open(file, 'a', 0o600)
  await handle.truncate(before.bytes)

  // Many at once share one sync: while one runs, the next collects.
  let waiting: { line: string; done(): void; failed(error: unknown): void }[] = []
  let flushing: Promise<void> | undefined
  const flush = async () => {
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      try {
        await handle.appendFile(batch.map((one) => one.line).join(''))
        await handle.datasync()
        for (const one of batch) one.done()
      } catch (error) {
        for (const one of batch) one.failed(error)
      }
    }
    flushing = undefined
  }
  return {
    async append(entry) {
      await new Promise<void>((done, failed) => {
        waiting.push({ line: `${JSON.stringify(entry)}\n`, done, failed })
        flushing ??= flush()
      })
      total += 1
      recent.push(entry)
      if (recent.length > KEPT_IN_MEMORY) recent.shift()
    },
    recent: () => [...recent].reverse(),
    count: () => total,
    async close() {
      await flushing
      await handle.close()
    },
  }
}

/** Counts the whole lines of a file of any size, keeps the last of them, and says where they end. */
async function readLines(file: string): Promise<{ count: number; last: SinkEntry[]; bytes: number }> {
  const last: string[] = []
  let count = 0
  let bytes = 0
  let rest: Buffer = Buffer.alloc(0)
  if (existsSync(file)) {
    for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 })) {
      const data = Buffer.concat([rest, chunk])
      let from = 0
      for (let end = data.indexOf(NEWLINE); end !== -1; end = data.indexOf(NEWLINE, from)) {
        last.push(data.toString('utf8', from, end))
        if (last.length > KEPT_IN_MEMORY) last.shift()
        count += 1
        from = end + 1
      }
      bytes += from
      rest = data.subarray(from)
    }
  }
  return { count, last: last.flatMap(decodeLine), bytes }
}

/** Empty for a line that a crash of the machine damaged: it still counts, but cannot be shown. */
function decodeLine(line: string): SinkEntry[] {
  try {
    return [JSON.parse(line)]
  } catch {
    return []
  }
}
