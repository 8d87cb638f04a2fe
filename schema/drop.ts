// Removes a deployment's schema with everything in it. Only `millrace reset` calls it, after asking.
import { Client } from 'pg'

/** Other sessions of Millrace on this database, by application name; none should be there when the schema goes. */
export async function otherSessions(databaseUrl: string): Promise<string[]> {
  return withClient(databaseUrl, async (client) => {
    const found = await client.query(
      `select distinct application_name as name from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid()
         and application_name like 'millrace-%' and application_name not in ('millrace-cli', 'millrace-migrate')`,
    )
    return found.rows.map((row) => String(row.name))
  })
}

export async function dropSchema(databaseUrl: string, namespace: string): Promise<void> {
  await withClient(databaseUrl, async (client) => {
    await client.query("set lock_timeout to '10s'")
    await client.query(`drop schema if exists ${client.escapeIdentifier(namespace)} cascade`)
  })
}

async function withClient<T>(databaseUrl: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: databaseUrl, application_name: 'millrace-cli' })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
