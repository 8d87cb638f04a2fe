// Reading a whole deployment out of Postgres and into another one, table by table, in COPY's text form. Called by `millrace
// backup` and `restore`. Knows no table by name but the partitions of events: the catalogue says what there is.
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { textArray } from './arrays.ts'
import { openCopyIn } from './copy-stream.ts'
import { whileNoneCommits } from './joint-transaction.ts'
import type { Servers } from './servers.ts'
import type { Queryable, Sql, Transaction } from './sql.ts'

/** `columns` without generated ones. */
export type BackupTable = { name: string; columns: string[] }
/** Rows, and a sum over hashes of them: the same in two databases when they hold the same rows. */
export type TableState = { rows: number; fingerprint: string }
export type SequenceState = { name: string; type: string; lastValue: number | null }
export type PartitionOf = { range: number; week: string }

/** Not part of a backup: the schema is made by migrations, and where rows are by the deployment that restores them. */
const OF_THE_SERVERS = ['schema_migrations', 'range_servers', 'this_server', 'commit_decisions']

/** A read transaction on each server. Everything they see is of one instant, however long it takes; writers go on. */
export async function inSnapshots<T>(servers: Servers, read: (all: Transaction[]) => Promise<T>): Promise<T> {
  if (servers.all.length === 1) return openSnapshots(servers.all, [], read)
  const reading = Promise.withResolvers<T>()
  // Awaited only once all snapshots are taken.
  reading.promise.catch(() => {})
  // Held until each server has taken its snapshot.
  await whileNoneCommits(servers, () => {
    const taken = Promise.withResolvers<void>()
    openSnapshots(servers.all, [], (all) => {
      taken.resolve()
      return read(all)
    }).then(reading.resolve, (error) => {
      taken.reject(error)
      reading.reject(error)
    })
    return taken.promise
  })
  return reading.promise
}

function openSnapshots<T>(
  [sql, ...rest]: readonly Sql[],
  open: Transaction[],
  read: (all: Transaction[]) => Promise<T>,
): Promise<T> {
  if (sql === undefined) return read(open)
  return sql.begin('isolation level repeatable read read only', async (tx) => {
    // The first statement takes the snapshot.
    await tx`select 1`
    return openSnapshots(rest, [...open, tx as Transaction], read)
  }) as Promise<T>
}

/** Whether the table's rows are spread over the servers, and by which column; undefined = all are at home. */
export function spreadColumn({ name, columns }: BackupTable): string | undefined {
  if (name === 'message_ids') return 'id'
  return columns.includes('bucket') ? 'bucket' : undefined
}

/** All tables, each after those that its foreign keys name. */
export async function listTables(sql: Queryable): Promise<BackupTable[]> {
  const tables = await sql<BackupTable[]>`
    select c.relname as name, array_agg(a.attname::text order by a.attnum) as columns
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
    where c.relnamespace = current_schema()::regnamespace
      and c.relkind in ('r', 'p') and not c.relispartition and not c.relname = any(${textArray(OF_THE_SERVERS)}::text[])
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

/** Loads the rows of several servers, each line where `numberOf` says. */
export async function copyInSpread(
  all: Transaction[],
  { name, columns }: BackupTable,
  rows: Readable,
  numberOf: (line: string) => number,
): Promise<void> {
  const copies: Awaited<ReturnType<typeof openCopyIn>>[] = []
  for (const tx of all) copies.push(await openCopyIn(tx`copy ${tx(name)} (${tx(columns)}) from stdin`))
  const failed = Promise.race(copies.map((copy) => copy.failed))
  failed.catch(() => {})
  const write = async (lines: string[]) => {
    for (const [number, own] of Map.groupBy(lines, numberOf)) {
      const stream = copies[number]?.stream
      if (stream === undefined) throw new Error(`there is no server ${number}`)
      // Bytes as they came: latin1 keeps each.
      if (!stream.write(`${own.join('\n')}\n`, 'latin1')) await Promise.race([once(stream, 'drain'), failed])
    }
  }
  try {
    let rest = ''
    for await (const chunk of rows.setEncoding('latin1')) {
      const lines = `${rest}${chunk}`.split('\n')
      rest = lines.pop() ?? ''
      if (lines.length > 0) await write(lines)
    }
    for (const { stream } of copies) {
      const finished = once(stream, 'finish')
      stream.end()
      await Promise.race([finished, failed])
    }
  } catch (error) {
    // The servers that refused nothing would wait for more rows instead of rolling back.
    for (const { stream } of copies) stream.destroy(error instanceof Error ? error : undefined)
    throw error
  }
}

/** Of the whole table, whichever servers it is on. */
export async function stateOf(all: Queryable[], name: string): Promise<TableState> {
  let rows = 0
  let fingerprint = 0n
  for (const sql of all) {
    const [row] = await sql<{ rows: number; fingerprint: string }[]>`
      select count(*) as rows, coalesce(sum(hashtextextended(t::text, 0)), 0)::text as fingerprint from ${sql(name)} t`
    rows += row?.rows ?? 0
    fingerprint += BigInt(row?.fingerprint ?? 0)
  }
  return { rows, fingerprint: String(fingerprint) }
}

/** What any of the servers has given out. */
export async function readSequences(all: Queryable[]): Promise<SequenceState[]> {
  const furthest = new Map<string, SequenceState>()
  for (const sql of all) {
    const rows = await sql<SequenceState[]>`
      select sequencename as name, data_type::text as type, last_value as "lastValue"
      from pg_sequences where schemaname = current_schema() order by sequencename`
    for (const row of rows) {
      const known = furthest.get(row.name)?.lastValue ?? null
      const lastValue = known === null ? row.lastValue : Math.max(known, row.lastValue ?? 0)
      furthest.set(row.name, { ...row, lastValue })
    }
  }
  return [...furthest.values()]
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

/** All that any of the servers has. */
export async function listEventPartitions(all: Queryable[]): Promise<PartitionOf[]> {
  const found = new Map<string, PartitionOf>()
  for (const sql of all) for (const one of await partitionsOn(sql)) found.set(`${one.range} ${one.week}`, one)
  return [...found.values()]
}

function partitionsOn(sql: Queryable) {
  return sql<PartitionOf[]>`
    select substr(relname, 9, 2)::int as range, to_char(to_date(right(relname, 8), 'YYYYMMDD'), 'YYYY-MM-DD') as week
    from pg_class
    where relnamespace = current_schema()::regnamespace and relispartition and relname ~ '^events_b[0-9]{2}_[0-9]{8}$'
    order by relname`
}

export async function makeEventPartitions(sql: Queryable, partitions: PartitionOf[]): Promise<void> {
  for (const { range, week } of partitions) await sql`select ensure_event_partition(${range}, ${week}::date)`
}
