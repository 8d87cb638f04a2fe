// Where a message or a person is in Postgres: kept, failed, or written to. Called by the dashboard's search.
import type { Queryable } from './sql.ts'

/** When a message was received, if it is kept. Needs the primary key of message_ids. */
export async function findMessage(
  sql: Queryable,
  messageId: string,
): Promise<{ receivedAt: Date } | undefined> {
  const [row] = await sql<{ receivedAt: Date }[]>`
    select received_at as "receivedAt"
    from message_ids
    where id = substr(encode(sha256(convert_to(${messageId}, 'UTF8')), 'hex'), 1, 32)::uuid`
  return row
}

export type FoundFailure = {
  failedId: number
  stage: string
  code: string
  failedAt: Date
  resolvedAt: Date | null
}

/** Failures of a message, newest first; at most 20. */
export async function findFailures(sql: Queryable, messageId: string): Promise<FoundFailure[]> {
  return sql<FoundFailure[]>`
    select failed_id as "failedId", stage, code, failed_at as "failedAt", resolved_at as "resolvedAt"
    from failed_events
    where message_id = ${messageId}
    order by failed_id desc
    limit 20`
}
