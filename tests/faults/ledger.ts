// The sender's own book: an append-only file with one line an event before it is sent (on disk before the first byte
// leaves) and one line an answer. Written by load.ts, read back by judge.ts; what it says was acked must be found.
import { createHash } from 'node:crypto'
import { type FileHandle, open, readFile } from 'node:fs/promises'

/** acked = 2xx; refused = 4xx, will not be tried again; unknown = 5xx, 429, reset or timeout: it may have landed. */
export type Outcome = 'acked' | 'refused' | 'unknown'
export type LedgerEntry = { user: string; hash: string; outcomes: Set<Outcome> }
export type Ledger = {
  /** Resolves when the lines are on disk. */
  sending(events: { id: string; user: string; hash: string }[]): Promise<void>
  answered(ids: string[], outcome: Outcome): Promise<void>
  close(): Promise<void>
}

export async function openLedger(file: string): Promise<Ledger> {
  const handle: FileHandle = await open(file, 'a', 0o600)
  const write = async (lines: unknown[]) => {
    await handle.appendFile(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    await handle.datasync()
  }
  return {
    sending: (events) => write(events),
    answered: (ids, outcome) => write([{ ids, outcome }]),
    close: () => handle.close(),
  }
}

type Line = { id: string; user: string; hash: string } | { ids: string[]; outcome: Outcome }

/** Everything that was ever sent, by message id. */
export async function readLedger(file: string): Promise<Map<string, LedgerEntry>> {
  const entries = new Map<string, LedgerEntry>()
  for (const text of (await readFile(file, 'utf8')).trimEnd().split('\n')) {
    const line: Line = JSON.parse(text)
    if ('id' in line) {
      if (!entries.has(line.id))
        entries.set(line.id, { user: line.user, hash: line.hash, outcomes: new Set() })
    } else for (const id of line.ids) entries.get(id)?.outcomes.add(line.outcome)
  }
  return entries
}

/** What an event says, in any order of keys: the same for the message that was sent and the row that was kept. */
export function contentHash(event: {
  type: string
  name: string
  user: string
  time: string
  content: Record<string, unknown>
}): string {
  const { type, name, user, time, content } = event
  return createHash('sha256')
    .update(JSON.stringify([type, name, user, time, sorted(content)]))
    .digest('hex')
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => [key, sorted(member)])
}
