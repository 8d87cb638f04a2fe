// What was accepted but could not be kept as an event, or a job that was given up: one row each, visible, replayable.
// Written by the pools (and by the executor for dead jobs), read by API and CLI.
import type { ErrorCode } from '../runtime/errors.ts'
import type { Queryable } from './sql.ts'

export type FailedEvent = {
  /** Stage, job and position (or message id): a retried job records the same failure once. */
  failedKey: string
  /** The pool it failed in; for a dead job the queue it was on. */
  stage: string
  code: ErrorCode
  /** Names the field, the reason and the mend; no personal data. */
  reason: string
  sqlstate?: string | undefined
  sourceId?: number | undefined
  messageId?: string | undefined
  /** JSON text of the queue payload that would send it again. */
  payload: string
}

export type StoredFailedEvent = FailedEvent & {
  failedId: number
  failedAt: Date
  replays: number
  resolvedAt: Date | null
}

/** Records failures, each once; returns how many were new. */
export async function recordFailedEvents(sql: Queryable, rows: FailedEvent[]): Promise<number> {
  if (rows.length === 0) return 0
  const values = rows.map((row) => ({
    failed_key: wellFormed(row.failedKey).slice(0, 500),
    stage: row.stage,
    code: row.code,
    reason: wellFormed(row.reason).slice(0, 1000),
    sqlstate: row.sqlstate ?? null,
    source_id: row.sourceId ?? null,
    message_id: row.messageId === undefined ? null : wellFormed(row.messageId),
    payload: wellFormed(row.payload),
  }))
  const inserted = await sql`
    insert into failed_events ${sql(values)}
    on conflict (failed_key) do nothing`
  return inserted.count
}

/** Open failures, oldest first, after `afterId`; `stage` and `code` narrow. */
export async function listFailedEvents(
  sql: Queryable,
  options: {
    stage?: string
    code?: string
    failedIds?: number[]
    since?: Date
    afterId?: number
    limit: number
  },
): Promise<StoredFailedEvent[]> {
  const rows = await sql<Record<string, unknown>[]>`
    select failed_id, failed_key, stage, code, reason, sqlstate, source_id, message_id, payload, failed_at, replays, resolved_at
    from failed_events
    where resolved_at is null
      and failed_id > ${options.afterId ?? 0}
      ${options.stage === undefined ? sql`` : sql`and stage = ${options.stage}`}
      ${options.code === undefined ? sql`` : sql`and code = ${options.code}`}
      ${options.failedIds === undefined ? sql`` : sql`and failed_id = any(${options.failedIds})`}
      ${options.since === undefined ? sql`` : sql`and failed_at >= ${options.since}`}
    order by failed_id
    limit ${options.limit}`
  return rows.map(toFailedEvent)
}

/** Open failures by stage and code. */
export async function countFailedEvents(
  sql: Queryable,
): Promise<{ stage: string; code: string; count: number }[]> {
  return sql<{ stage: string; code: string; count: number }[]>`
    select stage, code, count(*)::int as count
    from failed_events
    where resolved_at is null
    group by stage, code
    order by stage, code`
}

/** Which of these keys were never recorded; one that was sent again since counts as recorded. */
export async function unrecordedKeys(sql: Queryable, failedKeys: string[]): Promise<string[]> {
  if (failedKeys.length === 0) return []
  const rows = await sql<{ failed_key: string }[]>`
    select k.failed_key
    from unnest(${failedKeys}::text[]) as k (failed_key)
    where not exists (
      select 1 from failed_events f
      where f.failed_key = k.failed_key
        or (f.failed_key >= k.failed_key || '~0' and f.failed_key < k.failed_key || '~:')
    )`
  return rows.map((row) => row.failed_key)
}

/**
 * Marks failures as sent again; they count as resolved, and a new failure makes a new row. `~` stands in no job id: the
 * renamed key never meets that of the job that was sent again.
 */
export async function markReplayed(sql: Queryable, failedIds: number[]): Promise<void> {
  await sql`
    update failed_events
    set replays = replays + 1, replayed_at = now(), resolved_at = now(), failed_key = failed_key || '~' || failed_id
    where failed_id = any(${failedIds}) and resolved_at is null`
}

/** Marks failures as given up by an operator; returns how many were open. */
export async function discardFailedEvents(sql: Queryable, failedIds: number[]): Promise<number> {
  const updated = await sql`
    update failed_events
    set resolved_at = now()
    where failed_id = any(${failedIds}) and resolved_at is null`
  return updated.count
}

/** text columns refuse NUL and Postgres refuses lone surrogates: both are made visible instead of failing the record. */
function wellFormed(text: string): string {
  return text.toWellFormed().replaceAll('\u0000', '\u2400')
}

function toFailedEvent(row: Record<string, unknown>): StoredFailedEvent {
  return {
    failedId: Number(row.failed_id),
    failedKey: String(row.failed_key),
    stage: String(row.stage),
    code: row.code as ErrorCode,
    reason: String(row.reason),
    sqlstate: row.sqlstate === null ? undefined : String(row.sqlstate),
    sourceId: row.source_id === null ? undefined : Number(row.source_id),
    messageId: row.message_id === null ? undefined : String(row.message_id),
    payload: String(row.payload),
    failedAt: row.failed_at as Date,
    replays: Number(row.replays),
    resolvedAt: row.resolved_at as Date | null,
  }
}
