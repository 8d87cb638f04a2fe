// Brings a database to the newest schema: numbered SQL files, forward only, each in its own transaction with its ledger
// row inserted first. Twenty processes may start at once: a session advisory lock lets one work, the others find it done.
// Uses `pg`: one plain session that holds the lock across transactions.
import { readdir, readFile } from 'node:fs/promises'
import { Client } from 'pg'
import { fail } from '../runtime/errors.ts'

const FOLDER = new URL('./migrations/', import.meta.url)

export type Migration = { version: number; name: string; sql: string }

/** The migrations of this version of the code, in order; a gap or a double number is a mistake in the repository. */
export async function readMigrations(): Promise<Migration[]> {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith('.sql')).sort()
  const migrations = await Promise.all(
    names.map(async (name) => ({
      version: Number(name.slice(0, 4)),
      name: name.slice(5, -4),
      sql: await readFile(new URL(name, FOLDER), 'utf8'),
    })),
  )
  migrations.forEach((migration, i) => {
    if (migration.version !== i + 1)
      throw new Error(`migration ${migration.name} should have number ${i + 1}`)
  })
  return migrations
}

/** Applies what is missing; returns the versions applied now. Throws `schema_mismatch` when the database is newer than the code. */
export async function migrate(databaseUrl: string, namespace: string): Promise<number[]> {
  const migrations = await readMigrations()
  const client = new Client({ connectionString: databaseUrl, application_name: 'millrace-migrate' })
  await client.connect()
  try {
    await client.query('select pg_advisory_lock(hashtextextended($1, 0))', [`millrace-migrate-${namespace}`])
    await client.query(`create schema if not exists ${client.escapeIdentifier(namespace)}`)
    await client.query(`set search_path to ${client.escapeIdentifier(namespace)}`)
    await client.query("set lock_timeout to '30s'")
    await client.query(
      'create table if not exists schema_migrations (version integer primary key, name text not null, applied_at timestamptz not null default now())',
    )
    const done = await appliedVersion(client)
    if (done > migrations.length) throw tooNew(done, migrations.length)
    const applied: number[] = []
    for (const migration of migrations.slice(done)) {
      await applyOne(client, migration)
      applied.push(migration.version)
    }
    return applied
  } finally {
    // Ending the session releases the lock.
    await client.end()
  }
}

/** `{ applied, known }` versions without changing anything; `applied` is 0 on an empty database. */
export async function schemaVersion(
  databaseUrl: string,
  namespace: string,
): Promise<{ applied: number; known: number }> {
  const known = (await readMigrations()).length
  const client = new Client({ connectionString: databaseUrl, application_name: 'millrace-migrate' })
  await client.connect()
  try {
    const found = await client.query('select to_regclass($1) as ledger', [`${namespace}.schema_migrations`])
    if (found.rows[0]?.ledger === null) return { applied: 0, known }
    await client.query(`set search_path to ${client.escapeIdentifier(namespace)}`)
    return { applied: await appliedVersion(client), known }
  } finally {
    await client.end()
  }
}

async function appliedVersion(client: Client): Promise<number> {
  const result = await client.query('select coalesce(max(version), 0)::int as version from schema_migrations')
  return Number(result.rows[0]?.version ?? 0)
}

async function applyOne(client: Client, migration: Migration): Promise<void> {
  await client.query('begin')
  try {
    await client.query('insert into schema_migrations (version, name) values ($1, $2)', [
      migration.version,
      migration.name,
    ])
    await client.query(migration.sql)
    await client.query('commit')
  } catch (error) {
    await client.query('rollback')
    throw fail('schema_mismatch', `migration ${migration.version} ${migration.name} failed`, { cause: error })
  }
}

function tooNew(applied: number, known: number) {
  return fail(
    'schema_mismatch',
    `the database has schema ${applied}, this version of Millrace knows ${known}: upgrade Millrace, or use another MILLRACE_NAMESPACE`,
  )
}
