// What the doctor wants to know of a Postgres server. Read only.
import type { Queryable } from './sql.ts'

export type PostgresFacts = {
  /** 160004 = 16.4 */
  versionNumber: number
  version: string
  /** Settings that protect data, by name: `on` or `off`. */
  settings: { fsync: string; fullPageWrites: string; synchronousCommit: string }
  maxPreparedTransactions: number
  nowMs: number
}

export async function readPostgresFacts(sql: Queryable): Promise<PostgresFacts> {
  const [row] = await sql<
    {
      version_number: number
      version: string
      fsync: string
      full_page_writes: string
      synchronous_commit: string
      max_prepared: number
      now_ms: number
    }[]
  >`
    select current_setting('server_version_num')::int as version_number, current_setting('server_version') as version,
      current_setting('fsync') as fsync, current_setting('full_page_writes') as full_page_writes,
      current_setting('synchronous_commit') as synchronous_commit,
      current_setting('max_prepared_transactions')::int as max_prepared,
      (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms`
  if (row === undefined) throw new Error('Postgres said nothing of itself')
  return {
    versionNumber: row.version_number,
    version: row.version,
    settings: {
      fsync: row.fsync,
      fullPageWrites: row.full_page_writes,
      synchronousCommit: row.synchronous_commit,
    },
    maxPreparedTransactions: row.max_prepared,
    nowMs: row.now_ms,
  }
}
