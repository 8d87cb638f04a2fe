// millrace backup: everything in Postgres as of one instant, a gzipped file a table, while all runs. What lies on the queues
// is not part of it: what was acknowledged and not yet persisted is in Redis' own file.
import { mkdir, readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { Readable } from 'node:stream'
import packageFile from '../../package.json' with { type: 'json' }
import { fail } from '../../runtime/errors.ts'
import { schemaVersion } from '../../schema/migrate.ts'
import {
  type BackupTable,
  copyOut,
  inSnapshots,
  listEventPartitions,
  listTables,
  readSequences,
  spreadColumn,
  stateOf,
} from '../../store/backup.ts'
import { findServers } from '../../store/server-map.ts'
import { connectServers, endAll } from '../../store/servers.ts'
import type { Transaction } from '../../store/sql.ts'
import { parseOptions } from '../args.ts'
import { fileOf, type Manifest, writeManifest } from '../backup/manifest.ts'
import { writeTableFile } from '../backup/table-file.ts'
import { findRunning, mustFitSchema } from '../connect.ts'
import { createProgress } from '../demo/progress.ts'
import type { CliIo } from '../io.ts'

export async function run(args: string[], io: CliIo): Promise<number> {
  const { positionals } = parseOptions(args, {}, 1)
  const [folder] = positionals
  if (folder === undefined) throw fail('invalid_request', 'name a folder for the backup')
  const dir = resolve(folder)
  const { config } = findRunning(io, ['databaseUrl'])
  await mustFitSchema(config)
  await makeEmpty(dir)
  const { applied } = await schemaVersion(config.databaseUrl, config.namespace)
  const all = connectServers({
    urls: config,
    namespace: config.namespace,
    max: 2,
    applicationName: 'millrace-backup',
    statementTimeoutMs: 0,
    idleTransactionTimeoutMs: 0,
  })
  try {
    const servers = await findServers(all, config.namespace)
    const manifest = await inSnapshots(servers, (txs) => writeTables(txs, dir, applied, io))
    await writeManifest(dir, manifest)
    const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0)
    io.write(`${rows.toLocaleString('en-US')} rows of ${manifest.tables.length} tables are in ${dir}\n`)
    io.write(
      'Keep it as safe as the database, and MILLRACE_SECRET with it: suppressed addresses are hashed by it.\n',
    )
  } finally {
    await endAll(all, 2)
  }
  return 0
}

/** Another backup, or anything else, is never written over. */
async function makeEmpty(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  if ((await readdir(dir)).length > 0)
    throw fail('conflict', `${dir} is not empty: name a new folder for the backup`)
}

async function writeTables(all: Transaction[], dir: string, version: number, io: CliIo): Promise<Manifest> {
  const takenAt = new Date().toISOString()
  const [home] = all
  if (home === undefined) throw new Error('a deployment has a server')
  const placesOf = (table: BackupTable) => (spreadColumn(table) === undefined ? [home] : all)
  const states = []
  for (const table of await listTables(home))
    states.push({ ...table, ...(await stateOf(placesOf(table), table.name)) })
  const total = states.reduce((sum, table) => sum + table.rows, 0)
  let done = 0
  const progress = createProgress({ ...io, now: Date.now, stages: [{ name: 'rows', total }] })
  const onRows = (count: number) => {
    done += count
    progress.set('rows', done)
  }
  const tables: Manifest['tables'] = []
  for (const table of states) {
    const written = await writeTableFile(fileOf(dir, table.name), copyOutOf(placesOf(table), table), onRows)
    tables.push({ ...table, ...written })
  }
  progress.finish()
  return {
    v: 1,
    millrace: packageFile.version,
    takenAt,
    schemaVersion: version,
    tables,
    sequences: await readSequences(all),
    partitions: await listEventPartitions(all),
  }
}

/** The rows of one server after those of the other. */
function copyOutOf(all: Transaction[], table: BackupTable): Readable {
  return Readable.from(
    (async function* () {
      for (const tx of all) yield* await copyOut(tx, table)
    })(),
    { objectMode: false },
  )
}
