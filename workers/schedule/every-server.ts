// Work on every server that also goes on while one of several is away: its people wait, and nobody else's.
import type { Servers } from '../../store/servers.ts'
import type { Sql } from '../../store/sql.ts'

/** One after the other; then throws the first failure, if any. */
export async function onEveryServer(servers: Servers, work: (sql: Sql) => Promise<void>): Promise<void> {
  const failures: unknown[] = []
  for (const sql of servers.all) await work(sql).catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}
