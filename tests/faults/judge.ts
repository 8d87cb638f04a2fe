// Compares what the sender's ledger says with what stands in Postgres and in the sinks' own files, after everything has
// come to rest. Knows nothing of how the events got there; every fault test prints its table and asserts on it.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Sql } from '../../store/sql.ts'
import { contentHash, type LedgerEntry, readLedger } from './ledger.ts'

export type Verdict = {
  sent: number
  acked: number
  /** Ever answered by an error or not at all, and sent again. */
  unclear: number
  rows: number
  /** Acked and in neither events nor failed_events. */
  lost: number
  /** In events more than once, or in events and in failed_events. */
  duplicated: number
  /** Rows nobody sent, or that were sent and refused. */
  phantom: number
  altered: number
  failed: number
  /** Never acknowledged, and kept all the same: no harm, as the sender may send them again. */
  recovered: number
}

/** A Postgres server, or several with home first. */
type Stores = Sql | readonly [Sql, ...Sql[]]
const listOf = (stores: Stores): readonly [Sql, ...Sql[]] =>
  typeof stores === 'function' ? [stores] : stores

/** Events against the ledger; with a prefix only those whose message ids begin with it. */
export async function judgeEvents(stores: Stores, ledgerFile: string, prefix = ''): Promise<Verdict> {
  const [home] = listOf(stores)
  const whole = await readLedger(ledgerFile)
  const ledger = new Map([...whole].filter(([id]) => id.startsWith(prefix)))
  const names = await home<{ eventId: number; type: string; name: string }[]>`
    select event_id as "eventId", type, name from event_names`
  const nameOf = new Map(names.map((one) => [one.eventId, one]))
  type Row = { id: string; eventId: number; user: string; time: Date; properties: Record<string, unknown> }
  const found = await Promise.all(
    listOf(stores).map(
      (sql) => sql<Row[]>`
        select message_id as id, event_id as "eventId", user_id as user, time, properties
        from events where starts_with(message_id, ${prefix})`,
    ),
  )
  const rows = found.flat()
  const failed = await home<{ id: string | null; why: string }[]>`
    select message_id as id, concat_ws(' ', stage, code, reason) as why from failed_events where starts_with(coalesce(message_id, ''), ${prefix})`
  const seen = new Set<string>()
  // Rare ones have to be told from what a run printed.
  if (failed.length > 0) console.log('failed events', failed.slice(0, 5))
  const failedIds = new Set(failed.map((row) => row.id))
  const verdict: Verdict = {
    sent: ledger.size,
    acked: 0,
    unclear: 0,
    rows: rows.length,
    lost: 0,
    duplicated: 0,
    phantom: 0,
    altered: 0,
    failed: failed.length,
    recovered: 0,
  }
  for (const row of rows) {
    if (seen.has(row.id) || failedIds.has(row.id)) verdict.duplicated += 1
    seen.add(row.id)
    const entry = ledger.get(row.id)
    const { user, properties: content } = row
    const { type = '', name: eventName = '' } = nameOf.get(row.eventId) ?? {}
    // Only a track has a name of its own.
    const name = type === 'track' ? eventName : ''
    const hash = contentHash({ type, name, user, time: row.time.toISOString(), content })
    if (entry === undefined || isOnlyRefused(entry)) verdict.phantom += 1
    else if (entry.hash !== hash) verdict.altered += 1
  }
  for (const [id, { outcomes }] of ledger) {
    if (outcomes.has('acked')) verdict.acked += 1
    if (outcomes.has('unknown')) verdict.unclear += 1
    if (outcomes.has('acked') && !seen.has(id) && !failedIds.has(id)) verdict.lost += 1
    if (!outcomes.has('acked') && !outcomes.has('refused') && seen.has(id)) verdict.recovered += 1
  }
  return verdict
}

function isOnlyRefused({ outcomes }: LedgerEntry): boolean {
  return outcomes.size === 1 && outcomes.has('refused')
}

export type DeliveryVerdict = {
  expected: number
  received: number
  /** Received more than once by one person on one channel. */
  doubled: number
  /** Webhooks among them that came again under the same id: their receiver can tell, so they are not `doubled`. */
  repeated: number
  /** Received by somebody who was not to get it. */
  unexpected: number
  /** Recorded as unknown in Postgres. */
  unknown: number
  /** Expected, not received, and not recorded as unknown either. */
  missing: number
  states: Record<string, number>
}

const CHANNELS = ['email', 'push', 'webhook'] as const

/** Deliveries of `users`, one a channel each, against the sinks' files under `outboxDir`. */
export async function judgeDeliveries(
  stores: Stores,
  outboxDir: string,
  users: string[],
  prefix = '',
): Promise<DeliveryVerdict> {
  const expected = new Set(users.flatMap((user) => CHANNELS.map((channel) => `${channel} ${user}`)))
  const received = new Map<string, number>()
  const webhookIds = new Set<string>()
  let repeated = 0
  for (const channel of CHANNELS) {
    for (const line of await linesOf(join(outboxDir, `${channel}.jsonl`))) {
      const user = receiverOf(channel, line)
      if (!user.startsWith(prefix)) continue
      const key = `${channel} ${user}`
      if (channel === 'webhook' && webhookIds.has(String(line.id))) {
        repeated += 1
        continue
      }
      webhookIds.add(String(line.id))
      received.set(key, (received.get(key) ?? 0) + 1)
    }
  }
  const found = await Promise.all(
    listOf(stores).map(
      (sql) => sql<{ key: string; state: string }[]>`
        select d.channel || ' ' || p.user_id as key, d.state
        from deliveries d join profiles p on p.bucket = d.bucket and p.profile_id = d.profile_id
        where starts_with(p.user_id, ${prefix})`,
    ),
  )
  const rows = found.flat()
  const unknown = new Set(rows.filter((row) => row.state === 'unknown').map((row) => row.key))
  const states: Record<string, number> = {}
  for (const { state } of rows) states[state] = (states[state] ?? 0) + 1
  return {
    expected: expected.size,
    received: received.size,
    doubled: [...received.values()].filter((times) => times > 1).length,
    repeated,
    unexpected: [...received.keys()].filter((key) => !expected.has(key)).length,
    unknown: unknown.size,
    missing: [...expected].filter((key) => !received.has(key) && !unknown.has(key)).length,
    states,
  }
}

async function linesOf(file: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(file, 'utf8')
  return text === ''
    ? []
    : text
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line))
}

function receiverOf(channel: (typeof CHANNELS)[number], line: Record<string, unknown>): string {
  if (channel === 'email')
    return String(Array.isArray(line.to) ? line.to[0] : '').replace('@shop.example', '')
  if (channel === 'push') return String(line.to).replace('token-', '')
  const { body } = line
  const data: unknown = typeof body === 'object' && body !== null ? Reflect.get(body, 'data') : undefined
  return typeof data === 'object' && data !== null ? String(Reflect.get(data, 'userId')) : ''
}

/** One line a figure, so that a run can be read in the output of the suite. */
export function printTable(title: string, figures: Record<string, unknown>): void {
  const lines = Object.entries(figures).map(([name, value]) => {
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
    return `  ${name.padEnd(22)} ${text}`
  })
  console.log(`${title}\n${lines.join('\n')}`)
}
