// Reading a whole deployment out of Postgres and into another one, table by table, in COPY's text form. Called by `millrace
// backup` and `restore`. Knows no table by name but the partitions of events: the catalogue says what there is.
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { openCopyIn } from './copy-stream.ts'
import type { Queryable, Sql, Transaction } from './sql.ts'

/** `columns` without generated ones. */
export type BackupTable = { name: string; columns: string[] }
/** Rows, and a sum over hashes of them: the same in two databases when they hold the same rows. */
export type TableState = { rows: number; fingerprint: string }
export type SequenceState = { name: string; type: string; lastValue: number | null }
export type PartitionOf = { range: number; week: string }

/** Not part of a backup: the schema is made by migrations. */
const LEDGER = 'schema_migrations'

/** Everything `read` sees is of one instant, however long it takes; writers are not held up. */
export function inSnapshot<T>(sql: Sql, read: (tx: Transaction) => Promise<T>): Promise<T> {
  return sql.begin('isolation level repeatable read read only', (tx) => read(tx as Transaction)) as Promise<T>
}

/** All tables, each after those that its foreign keys name. */
export async function listTables(sql: Queryable): Promise<BackupTable[]> {
  const tables = await sql<BackupTable[]>`
    select c.relname as name, array_agg(a.attname::text order by a.attnum) as columns
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    where c.relnamespace = current_schema()::regnamespace
      and c.relkind in ('r', 'p') and not c.relispartition and c.relname <> ${LEDGER}
    group by c.relname
    order by c.relname`
  const references = await sql<{ child: string; parent: string }[]>`
    select distinct child.relname as child, parent.relname as parent
    from pg_constraint k
    join pg_class child on child.oid = k.conrelid
    join pg_class parent on parent.oid = k.confrelid
    where k.contype = 'f' and k.connamespace = current_schema()::regnamespace and child.oid <> parent.oid`
  const ordered: BackupTable[] = []
  const place = (table: BackupTable) => {
    if (ordered.includes(table)) return
    for (const { child, parent } of references) {
      const needed = child === table.name ? tables.find((one) => one.name === parent) : undefined
      if (needed !== undefined) place(needed)
    }
    ordered.push(table)
  }
  for (const table of tables) place(table)
  return ordered
}

export function copyOut(tx: Transaction, { name, columns }: BackupTable): Promise<Readable> {
  return tx`copy (select ${tx(columns)} from ${tx(name)}) to stdout`.readable()
}

/** Loads what `copyOut` gave; partitions must be there. */
export async function copyIn(tx: Transaction, { name, columns }: BackupTable, rows: Readable): Promise<void> {
  const copy = tx`copy ${tx(name)} (${tx(columns)}) from stdin`
  const { stream, failed } = await openCopyIn(copy)
  const loaded = pipeline(rows, stream)
  loaded.catch(() => {})
  await Promise.race([loaded, failed])
}

export async function stateOf(sql: Queryable, name: string): Promise<TableState> {
  const [row] = await sql<{ rows: number; fingerprint: string }[]>`
    select count(*) as rows, coalesce(sum(hashtextextended(t::text, 0)), 0)::text as fingerprint from ${sql(name)} t`
  if (row === undefined) throw new Error(`${name} was not counted`)
  return row
}

export async function readSequences(sql: Queryable): Promise<SequenceState[]> {
  return sql<SequenceState[]>`
    select sequencename as name, data_type::text as type, last_value as "lastValue"
    from pg_sequences where schemaname = current_schema() order by sequencename`
}

/**
 * Sets the sequences past what was given out. `skip` numbers of the wide ones are left out: jobs that are still on a queue
 * may name numbers given out after the backup, which must not come to mean somebody else.
 */
export async function setSequences(tx: Transaction, sequences: SequenceState[], skip: number): Promise<void> {
  for (const { name, type, lastValue } of sequences) {
    if (lastValue === null) continue
    const value = type === 'bigint' ? lastValue + skip : lastValue
    await tx`select setval(format('%I', ${name}::text)::regclass, ${value})`
  }
}

export async function listEventPartitions(sql: Queryable): Promise<PartitionOf[]> {
  return sql<PartitionOf[]>`
    select substr(relname, 9, 2)::int as range, to_char(to_date(right(relname, 8), 'YYYYMMDD'), 'YYYY-MM-DD') as week
    from pg_class
    where relnamespace = current_schema()::regnamespace and relispartition and relname ~ '^events_b[0-9]{2}_[0-9]{8}$'
    order by relname`
}

export async function makeEventPartitions(sql: Queryable, partitions: PartitionOf[]): Promise<void> {
  for (const { range, week } of partitions) await sql`select ensure_event_partition(${range}, ${week}::date)`
}
