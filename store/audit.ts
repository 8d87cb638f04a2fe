// The audit log: who changed what, append only. Written by API and dashboard, read by the API. Details hold ids and
// counts, never personal data or keys.
import type { Queryable } from './sql.ts'

export type AuditEntry = {
  /** `key:<id>` for the API, `user:<name>` for the dashboard, `cli` for the operator's shell. */
  actor: string
  /** Verb and noun, e.g. `key.revoke`. */
  action: string
  target?: string
  details?: Record<string, string | number | boolean | null>
}

export type AuditRow = {
  auditId: number
  at: Date
  actor: string
  action: string
  target: string
  details: Record<string, unknown>
}

export async function recordAudit(sql: Queryable, entry: AuditEntry): Promise<void> {
  await sql`
    insert into audit_log (actor, action, target, details)
    values (${entry.actor}, ${entry.action}, ${entry.target ?? ''}, ${sql.json(entry.details ?? {})})`
}

/** Entries before `beforeId`, newest first. */
export async function listAudit(
  sql: Queryable,
  options: { beforeId?: number | undefined; limit: number },
): Promise<AuditRow[]> {
  return sql<AuditRow[]>`
    select audit_id as "auditId", at, actor, action, target, details
    from audit_log
    ${options.beforeId === undefined ? sql`` : sql`where audit_id < ${options.beforeId}`}
    order by audit_id desc
    limit ${options.limit}`
}
