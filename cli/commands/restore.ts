// millrace restore: a backup into an empty deployment, in one transaction: when a count or the content of a table differs from
// what the backup says, nothing is kept. Starts the embedded servers for it where none are named.
import { resolve } from 'node:path'
import { rangeOfMessage, rangeOfProfile } from '../../domain/buckets.ts'
import { connectProducer, whenReady } from '../../queues/connection.ts'
import { eraseCache } from '../../queues/erase.ts'
import { type Config, readConfig } from '../../runtime/config.ts'
import { fail } from '../../runtime/errors.ts'
import { schemaVersion } from '../../schema/migrate.ts'
import {
  copyIn,
  copyInSpread,
  listTables,
  makeEventPartitions,
  setSequences,
  spreadColumn,
  stateOf,
} from '../../store/backup.ts'
import { findServers, ownChangeNumbers } from '../../store/server-map.ts'
import { connectServers, endAll, type Servers } from '../../store/servers.ts'
import { inTransaction, type Sql, type Transaction } from '../../store/sql.ts'
import { parseOptions } from '../args.ts'
import { fileOf, type Manifest, readManifest } from '../backup/manifest.ts'
import { readTableFile } from '../backup/table-file.ts'
import { migrateAll } from '../connect.ts'
import { createProgress } from '../demo/progress.ts'
import type { CliIo } from '../io.ts'
import { withServers } from '../local/with-servers.ts'
import { readRunState } from '../run-state.ts'
import { table } from '../table.ts'

/** Numbers that jobs may name which were given out after the backup. */
const SKIPPED_NUMBERS = 1_000_000_000
/** Filled by every first start. */
const FILLED_AT_START = ['shard_map', 'shard_map_changes', 'settings', 'schedule_runs']

export async function run(args: string[], io: CliIo): Promise<number> {
  const { options, positionals } = parseOptions(args, { yes: 'boolean' }, 1)
  const [folder] = positionals
  if (folder === undefined) throw fail('invalid_request', 'name the folder of a backup')
  const dir = resolve(folder)
  const manifest = await readManifest(dir)
  io.write(`Backup of ${manifest.takenAt}, Millrace ${manifest.millrace}, schema ${manifest.schemaVersion}\n`)
  if (options.yes !== true) {
    io.write(`${contents(manifest)}Nothing was restored: add --yes to do it.\n`)
    return 0
  }
  const config = readConfig(io.env)
  const running = readRunState(config.dataDir)
  if (running !== undefined)
    throw fail('conflict', `Millrace runs here (pid ${running.pid}): stop it before you restore into it`)
  await withServers(config, io, (addresses) => restore({ ...config, ...addresses }, dir, manifest, io))
  io.write(
    `Restored; every count and the content of every table are those of the backup:\n${contents(manifest)}`,
  )
  return 0
}

function contents(manifest: Manifest): string {
  const filled = manifest.tables.filter((one) => one.rows > 0)
  return table(
    [{ title: 'TABLE' }, { title: 'ROWS', align: 'right' }],
    filled.map((one) => [one.name, one.rows.toLocaleString('en-US')]),
  )
}

async function restore(config: Config, dir: string, manifest: Manifest, io: CliIo): Promise<void> {
  await migrateAll(config)
  const { applied } = await schemaVersion(config.databaseUrl, config.namespace)
  if (applied !== manifest.schemaVersion)
    throw fail(
      'schema_mismatch',
      `the backup has schema ${manifest.schemaVersion}, this version makes ${applied}: restore with the Millrace that made it (${manifest.millrace}), then upgrade`,
    )
  const all = connectServers({
    urls: config,
    namespace: config.namespace,
    max: 1,
    applicationName: 'millrace-restore',
    statementTimeoutMs: 0,
    idleTransactionTimeoutMs: 0,
  })
  try {
    const servers = await findServers(all, config.namespace)
    for (const sql of all) {
      await mustBeEmpty(sql)
      await makeEventPartitions(sql, manifest.partitions)
    }
    await inEach(all, [], (txs) => loadAll(txs, servers, dir, manifest, io))
    for (const sql of all) await sql`analyze`
  } finally {
    await endAll(all, 2)
  }
  await forgetCache(config)
}

async function mustBeEmpty(sql: Sql): Promise<void> {
  for (const { name } of await listTables(sql)) {
    if (FILLED_AT_START.includes(name)) continue
    const [row] = await sql`select 1 from ${sql(name)} limit 1`
    if (row !== undefined)
      throw fail(
        'conflict',
        `the deployment is not empty (${name} has rows): restore into a new database, another MILLRACE_NAMESPACE, or after millrace reset`,
      )
  }
}

/** A transaction on every server; none commits before `work` is done with all. */
function inEach(
  [sql, ...rest]: readonly Sql[],
  open: Transaction[],
  work: (all: Transaction[]) => Promise<void>,
): Promise<void> {
  if (sql === undefined) return work(open)
  return inTransaction(sql, (tx) => inEach(rest, [...open, tx], work))
}

async function loadAll(
  all: Transaction[],
  servers: Servers,
  dir: string,
  manifest: Manifest,
  io: CliIo,
): Promise<void> {
  const [home] = all
  if (home === undefined) throw new Error('a deployment has a server')
  for (const name of FILLED_AT_START) await home`delete from ${home(name)}`
  const total = manifest.tables.reduce((sum, one) => sum + one.rows, 0)
  let done = 0
  const progress = createProgress({ ...io, now: Date.now, stages: [{ name: 'rows', total }] })
  for (const one of manifest.tables) {
    const file = readTableFile(fileOf(dir, one.name), (count) => {
      done += count
      progress.set('rows', done)
    })
    const column = all.length === 1 ? undefined : spreadColumn(one)
    if (column === undefined) await copyIn(home, one, file.rows)
    else await copyInSpread(all, one, file.rows, numberOfLine(servers, one.columns, column))
    file.check(one)
    const { rows, fingerprint } = await stateOf(column === undefined ? [home] : all, one.name)
    if (rows !== one.rows || fingerprint !== one.fingerprint)
      throw fail(
        'conflict',
        `${one.name} has ${rows} rows where the backup has ${one.rows}, or others: nothing was kept`,
      )
  }
  for (const [number, tx] of all.entries()) {
    await setSequences(tx, manifest.sequences, SKIPPED_NUMBERS)
    if (all.length > 1) await ownChangeNumbers(tx, number)
  }
  progress.finish()
}

/** Which server a line of COPY's text form belongs on. */
function numberOfLine(servers: Servers, columns: string[], column: string): (line: string) => number {
  const place = columns.indexOf(column)
  const rangeOf = column === 'id' ? rangeOfMessage : (text: string) => rangeOfProfile(Number(text))
  return (line) => servers.numberOfRange(rangeOf(line.split('\t', place + 1)[place] ?? ''))
}

/** Memberships that Redis serves may be newer than the backup. */
async function forgetCache(config: Config): Promise<void> {
  const redis = connectProducer(config.redisUrl)
  try {
    await whenReady(redis)
    await eraseCache(redis, config.namespace)
  } finally {
    redis.disconnect()
  }
}
