// Where a message or a person is in Postgres: kept, failed, or written to. Called by the dashboard's search.
import { createHash } from 'node:crypto'
import { rangeOfMessage } from '../domain/buckets.ts'
import type { Servers } from './servers.ts'
import type { Queryable } from './sql.ts'

/** When a message was received, if it is kept. Needs the primary key of message_ids. */
export async function findMessage(
  servers: Servers,
  messageId: string,
): Promise<{ receivedAt: Date } | undefined> {
  const id = createHash('sha256').update(messageId, 'utf8').digest('hex').slice(0, 32)
  const [row] = await servers.ofRange(rangeOfMessage(id))<{ receivedAt: Date }[]>`
    select received_at as "receivedAt"
    from message_ids
    where id = ${id}::uuid`
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
