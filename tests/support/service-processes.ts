// The containers of a deployment as processes of their own, with the commands and keys that its file gives them: each
// becomes healthy, together they carry an event to the API, and each ends cleanly when it is told to.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, inject } from 'vitest'
import { createDatabase, dropDatabase } from '../../cli/local/postgres.ts'
import { databaseUrlFor } from './servers.ts'
import { ROOT } from './source-tree.ts'
import { waitFor } from './wait-for.ts'

/** `environment`: what the file sets, without what it asks to be given. */
export type Service = { name: string; command: string[]; environment: Record<string, string> }
type Running = { name: string; child: ChildProcess; output(): string; ended: Promise<unknown> }

/** Runs `services` (a name may come twice) from migration to stop; leaves nothing behind. */
export async function runThrough(migrate: Service, services: Service[]): Promise<void> {
  const database = `services_${randomBytes(5).toString('hex')}`
  const dataDir = await mkdtemp(join(tmpdir(), 'millrace-services-'))
  const running: Running[] = []
  const start = (service: Service): Running => {
    const one = launch(service, ownEnvironment(database, dataDir))
    running.push(one)
    return one
  }
  await createDatabase(inject('postgresUrl'), database)
  try {
    await carryAnEvent(start, migrate, services)
  } finally {
    for (const { child } of running) if (child.exitCode === null) child.kill('SIGKILL')
    await Promise.all(running.map((one) => one.ended))
    await dropDatabase(inject('postgresUrl'), database)
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function carryAnEvent(
  start: (service: Service) => Running,
  migrate: Service,
  services: Service[],
): Promise<void> {
  /** One command of the image, run to its end as by `docker compose run --rm migrate …`. */
  const command = async (...args: string[]): Promise<string> => {
    const { child, output, ended } = start({ ...migrate, command: args })
    await ended
    expect(child.exitCode, output()).toBe(0)
    return output()
  }
  expect(await command(...migrate.command)).toContain('Applied')

  const started = services.map(start)
  const addresses = await Promise.all(started.map(addressesOf))
  for (const [i, { probes }] of addresses.entries()) {
    expect((await fetch(`${probes}/healthz`)).status, started[i]?.name).toBe(200)
    expect((await fetch(`${probes}/readyz`)).status, started[i]?.name).toBe(200)
  }
  const httpOf = (name: string) => addresses[started.findIndex((one) => one.name === name)]?.http

  const writeKey = /mk_pub_\w+/.exec(await command('keys', 'create', '--source', 'web'))?.[0]
  const secretKey = /mk_sec_\w+/.exec(await command('keys', 'create', '--secret'))?.[0]
  const accepted = await fetch(`${httpOf('collector')}/v1/track`, {
    method: 'POST',
    headers: { authorization: `Bearer ${writeKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ userId: 'me', event: 'Product Viewed' }),
  })
  expect(accepted.status).toBe(200)
  const me = () =>
    fetch(`${httpOf('api')}/api/v1/users/me`, { headers: { authorization: `Bearer ${secretKey}` } })
  await waitFor(async () => (await me()).status === 200, { timeoutMs: 20_000 })

  for (const { child } of started) child.kill('SIGTERM')
  await Promise.all(started.map((one) => one.ended))
  expect(started.map((one) => [one.name, one.child.exitCode])).toEqual(
    services.map((service) => [service.name, 0]),
  )
}

/** What the machine gives instead of secrets, fixed ports and a disk of its own. */
function ownEnvironment(database: string, dataDir: string): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    NODE_ENV: 'production',
    DATABASE_URL: databaseUrlFor(inject('postgresUrl'), database),
    REDIS_URL: inject('redisUrl'),
    MILLRACE_NAMESPACE: database,
    MILLRACE_SECRET: 'a secret of this test',
    MILLRACE_HOST: '127.0.0.1',
    MILLRACE_DATA_DIR: dataDir,
    MILLRACE_POSTGRES_POOL_SIZE: '2',
    MILLRACE_HTTP_PORT: '0',
    MILLRACE_DASHBOARD_PORT: '0',
    MILLRACE_EXPORTER_PORT: '0',
    MILLRACE_METRICS_PORT: '0',
    LOG_LEVEL: 'info',
  }
}

function launch({ name, command, environment }: Service, own: Record<string, string>): Running {
  const child = spawn(process.execPath, ['cli/main.ts', ...command], {
    cwd: ROOT,
    env: { ...environment, ...own },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const keep = (data: Buffer) => {
    output += data
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  return { name, child, output: () => output, ended: once(child, 'close') }
}

/** Where a service listens, out of the line that says it is ready. */
async function addressesOf(one: Running): Promise<Record<string, string>> {
  const find = () =>
    one
      .output()
      .split('\n')
      .find((line) => line.includes('"msg":"ready"'))
  await waitFor(() => find() !== undefined || one.child.exitCode !== null, { timeoutMs: 60_000 })
  const line = find()
  if (line === undefined) throw new Error(`${one.name} did not start: ${one.output()}`)
  return JSON.parse(line).addresses
}
