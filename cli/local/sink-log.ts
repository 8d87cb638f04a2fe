// What a local sink keeps: one JSON line a message in an append-only file, synced before the sink answers, and the last
// messages in memory for the outbox page. The file is what fault tests count.
import { closeSync, existsSync, fdatasyncSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

export type SinkEntry = { at: string; id: string; [field: string]: unknown }

export type SinkLog = {
  append(entry: SinkEntry): void
  recent(): SinkEntry[]
  count(): number
  close(): void
}

const KEPT_IN_MEMORY = 200

/** Opens (and on a later start reads) the file of a sink. */
export function openSinkLog(file: string): SinkLog {
  mkdirSync(dirname(file), { recursive: true })
  const before = existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    : []
  let total = before.length
  const recent: SinkEntry[] = before.slice(-KEPT_IN_MEMORY).map((line) => JSON.parse(line))
  const fd = openSync(file, 'a', 0o600)
  return {
    append(entry) {
      writeSync(fd, `${JSON.stringify(entry)}\n`)
      fdatasyncSync(fd)
      total += 1
      recent.push(entry)
      if (recent.length > KEPT_IN_MEMORY) recent.shift()
    },
    recent: () => [...recent].reverse(),
    count: () => total,
    close: () => closeSync(fd),
  }
}

/** Planned misbehaviour of a sink, for tests: the next `count` messages fail in a named way. */
export type Fault = { how: string; count: number }
export function nextFault(faults: Fault[]): string | undefined {
  const [first] = faults
  if (first === undefined) return undefined
  first.count -= 1
  if (first.count <= 0) faults.shift()
  return first.how
}
