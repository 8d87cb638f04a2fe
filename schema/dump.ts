// A readable dump of the schema that the migrations result in, made from the catalogues: schema/schema.sql is committed
// and a test compares it, so that the effect of a migration shows in review. Partitions are folded into their parent.
import { Client } from 'pg'

const COLUMNS = `
  select c.relname as table_name, c.relkind, pg_get_partkeydef(c.oid) as partition_key,
    string_agg('  ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
      || case when a.attidentity <> '' then ' generated always as identity' else '' end
      || case when d.adbin is not null then ' default ' || pg_get_expr(d.adbin, d.adrelid) else '' end
      || case when a.attnotnull then ' not null' else '' end, E',\\n' order by a.attnum) as columns,
    (select string_agg('  ' || pg_get_constraintdef(k.oid), E',\\n' order by k.contype desc, pg_get_constraintdef(k.oid))
       from pg_constraint k where k.conrelid = c.oid and k.contype in ('p', 'u', 'c', 'f')) as constraints
  from pg_class c
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
  where c.relnamespace = $1::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  group by c.oid, c.relname, c.relkind
  order by c.relname`

const INDEXES = `
  select pg_get_indexdef(i.indexrelid) as definition
  from pg_index i
  join pg_class c on c.oid = i.indrelid
  where c.relnamespace = $1::regnamespace and not c.relispartition
    and not exists (select 1 from pg_constraint k where k.conindid = i.indexrelid)
  order by 1`

const FUNCTIONS = `
  select pg_get_functiondef(p.oid) as definition
  from pg_proc p where p.pronamespace = $1::regnamespace order by p.proname`

/** The schema of a namespace as SQL-like text, stable across runs; the namespace itself is left out. */
export async function dumpSchema(databaseUrl: string, namespace: string): Promise<string> {
  const client = new Client({ connectionString: databaseUrl, application_name: 'millrace-dump' })
  await client.connect()
  try {
    await client.query(`set search_path to ${client.escapeIdentifier(namespace)}`)
    const tables = await client.query(COLUMNS, [namespace])
    const indexes = await client.query(INDEXES, [namespace])
    const functions = await client.query(FUNCTIONS, [namespace])
    const parts = [
      '-- Made by schema/dump.ts from the migrations; do not edit. Update: npm test -- -u tests/schema',
    ]
    for (const row of tables.rows) {
      const body = [row.columns, row.constraints].filter((part) => part !== null).join(',\n')
      const partition = row.partition_key === null ? '' : ` partition by ${row.partition_key}`
      parts.push(`create table ${row.table_name} (\n${body}\n)${partition};`)
    }
    for (const row of indexes.rows) parts.push(`${row.definition};`)
    for (const row of functions.rows) parts.push(`${row.definition.trimEnd()};`)
    return `${parts.join('\n\n').replaceAll(`${namespace}.`, '')}\n`
  } finally {
    await client.end()
  }
}
