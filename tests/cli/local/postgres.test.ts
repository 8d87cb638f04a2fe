// The embedded Postgres on this machine: it keeps its data, refuses to share it, survives what a crash leaves behind, and
// runs for root in a folder that only root can enter as well as for an ordinary user.
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPostgres } from '../../../cli/local/postgres.ts'
import { findBinaries } from '../../../cli/local/postgres-data.ts'
import { chooseUser, isReachable, reachableCopy } from '../../../cli/local/unprivileged.ts'
import { endOf, isRunning, launchServerProgram } from '../../support/launched.ts'
import { waitFor } from '../../support/wait-for.ts'

const isRoot = process.getuid?.() === 0
if (!isRoot) process.stderr.write('SKIPPED: running as root and as another user, as this is not root\n')
const NOBODY = 65534
/** An ordinary user runs a checkout they can read. */
const isReadable = isRoot && isReachable(import.meta.dirname)
if (isRoot && !isReadable)
  process.stderr.write('SKIPPED: running as another user, who may not read this folder\n')

const made: string[] = []
let dir: string

/** For root it is one that only root can enter, as mkdtemp makes it: the data then lies elsewhere. */
async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-postgres-test-'))
  made.push(folder)
  return folder
}

function placeOfData(folder: string): string {
  const note = join(folder, 'location')
  return existsSync(note) ? readFileSync(note, 'utf8').trim() : folder
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

const start = (folder: string) => startPostgres({ dir: folder, port: 0, log: () => {} })

beforeAll(async () => {
  dir = await newFolder()
})

afterAll(async () => {
  for (const folder of made) {
    await rm(placeOfData(folder), { recursive: true, force: true })
    await rm(folder, { recursive: true, force: true })
  }
})

test('it keeps its data across a restart and a crash, with everything on that protects them', async () => {
  const first = await start(dir)
  await query(first.url, 'create table kept (n int); insert into kept values (1)')
  const [settings] = await query(
    first.url,
    `select current_setting('fsync') fsync, current_setting('full_page_writes') pages,
       current_setting('synchronous_commit') commit, current_setting('listen_addresses') listens,
       current_setting('unix_socket_directories') sockets`,
  )
  expect(settings).toEqual({ fsync: 'on', pages: 'on', commit: 'on', listens: '127.0.0.1', sockets: '' })
  await first.restartImmediate()
  expect(await query(first.url, 'insert into kept values (2) returning n')).toEqual([{ n: 2 }])
  await first.stop()
  expect(isRunning(first.pid)).toBe(false)

  const second = await start(dir)
  expect(await query(second.url, 'select n from kept order by n')).toEqual([{ n: 1 }, { n: 2 }])
  await second.stop()
})

test('the password is needed, kept from others, and on no command line', async () => {
  const server = await start(dir)
  const password = new URL(server.url).password
  expect(password).toMatch(/^[0-9a-f]{36}$/)
  expect(statSync(join(placeOfData(dir), 'password')).mode & 0o077).toBe(0)
  expect(readFileSync(`/proc/${server.pid}/cmdline`, 'utf8')).not.toContain(password)
  await expect(query(server.url.replace(password, 'wrong'), 'select 1')).rejects.toThrow(/password/)
  await server.stop()
})

test('data in use are refused to a second start, which names who uses them', async () => {
  const server = await start(dir)
  await expect(start(dir)).rejects.toThrow(`another Millrace (pid ${process.pid}) uses the Postgres`)
  expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }])
  await server.stop()
})

test('a pid file that names a stranger by now does not keep it from starting', async () => {
  const stranger = spawn('sleep', ['60'])
  const lock = join(placeOfData(dir), 'data', 'postmaster.pid')
  writeFileSync(lock, `${stranger.pid}\n${join(placeOfData(dir), 'data')}\n0\n1\n\n127.0.0.1\n`)
  const server = await start(dir)
  expect(await query(server.url, 'select count(*)::int as rows from kept')).toEqual([{ rows: 2 }])
  expect(isRunning(stranger.pid ?? 0)).toBe(true)
  await server.stop()
  stranger.kill()
})

test('a Postgres whose launcher was killed is ended by the next start; one whose launcher exits ends with it', async () => {
  const orphaned = await launchServerProgram(['postgres', dir])
  orphaned.child.kill('SIGKILL')
  await endOf(orphaned.child)
  expect(isRunning(orphaned.pid)).toBe(true)
  const server = await start(dir)
  expect(isRunning(orphaned.pid)).toBe(false)
  expect(await query(server.url, 'select count(*)::int as rows from kept')).toEqual([{ rows: 2 }])
  await server.stop()

  const careless = await launchServerProgram(['postgres', dir, 'exit'])
  expect(await endOf(careless.child)).toEqual({ code: 0, signal: null })
  await waitFor(() => !isRunning(careless.pid), { what: 'the end of the server' })
})

test.skipIf(!isRoot)(
  'for root it runs as another user, with its data where that one can reach them',
  async () => {
    expect(statSync(dir).mode & 0o077).toBe(0)
    const server = await start(dir)
    const status = readFileSync(`/proc/${server.pid}/status`, 'utf8')
    expect(Number(/^Uid:\s+(\d+)/m.exec(status)?.[1])).not.toBe(0)
    expect(statSync(placeOfData(dir)).mode & 0o077).toBe(0)
    await server.destroy()
    expect(existsSync(placeOfData(dir))).toBe(false)
  },
)

test.skipIf(!isRoot)('binaries that its user cannot reach are copied, whole and runnable', async () => {
  const user = chooseUser()
  const found = findBinaries()
  const hidden = join(await newFolder(), 'native')
  execFileSync('cp', ['-a', found.path, hidden])
  const copy = reachableCopy(hidden, `test-${process.pid}`, user)
  made.push(copy)
  expect(copy).not.toBe(hidden)
  const run = (program: string) =>
    execFileSync(join(copy, 'bin', program), ['--version'], { ...user, cwd: '/', env: {}, encoding: 'utf8' })
  await rm(hidden, { recursive: true, force: true })
  expect(run('initdb')).toMatch(/^initdb \(PostgreSQL\) 1\d/)
  expect(run('postgres')).toMatch(/^postgres \(PostgreSQL\) 1\d/)
})

test.skipIf(!isReadable)('an ordinary user runs it in a folder of their own', async () => {
  const own = await newFolder()
  chownSync(own, NOBODY, NOBODY)
  const data = join(own, 'postgres')
  mkdirSync(data)
  chmodSync(data, 0o700)
  chownSync(data, NOBODY, NOBODY)
  const env = { PATH: process.env.PATH, HOME: own }
  const launched = await launchServerProgram(['postgres', data], { uid: NOBODY, gid: NOBODY, env })
  expect(await query(launched.url, 'select 1 as one')).toEqual([{ one: 1 }])
  expect(statSync(join(data, 'data')).uid).toBe(NOBODY)
  launched.child.kill('SIGTERM')
  expect(await endOf(launched.child)).toEqual({ code: 0, signal: null })
  expect(isRunning(launched.pid)).toBe(false)
})
