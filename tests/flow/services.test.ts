// The services of docker-compose.yml as processes of their own, with the commands and keys that it gives them: each
// becomes healthy, together they carry an event to the API, and each ends cleanly when it is told to.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { parse } from 'yaml'
import { createDatabase, dropDatabase } from '../../cli/local/postgres.ts'
import { databaseUrlFor } from '../support/servers.ts'
import { ROOT, readProjectFile } from '../support/source-tree.ts'
import { waitFor } from '../support/wait-for.ts'

type Service = { command: string[]; environment: Record<string, string> }
type Running = { name: string; child: ChildProcess; output(): string; ended: Promise<unknown> }

const services: Record<string, Service> = parse(readProjectFile('docker-compose.yml'), {
  merge: true,
}).services
const pools = Object.keys(services).filter((name) => services[name]?.command[0] === 'start')
/** As with --scale persist=2. */
const STARTED = [...pools, 'persist']

const database = `services_${randomBytes(5).toString('hex')}`
const running: Running[] = []
let dataDir = ''

beforeAll(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'millrace-services-'))
  await createDatabase(inject('postgresUrl'), database)
})
afterAll(async () => {
  for (const { child } of running) if (child.exitCode === null) child.kill('SIGKILL')
  await Promise.all(running.map((one) => one.ended))
  await dropDatabase(inject('postgresUrl'), database)
  await rm(dataDir, { recursive: true, force: true })
})

/** What the image and compose set, with values of this test where compose asks for one. */
function environmentOf(name: string): Record<string, string> {
  const given = Object.entries(services[name]?.environment ?? {}).map(([key, value]) => [
    key,
    /^\$\{\w+:-(.*)\}$/.exec(value)?.[1] ?? value,
  ])
  return {
    ...Object.fromEntries(given),
    ...('MILLRACE_ADMIN_PASSWORD' in (services[name]?.environment ?? {})
      ? { MILLRACE_ADMIN_PASSWORD: randomBytes(12).toString('hex') }
      : {}),
    PATH: process.env.PATH ?? '',
    NODE_ENV: 'production',
    DATABASE_URL: databaseUrlFor(inject('postgresUrl'), database),
    REDIS_URL: inject('redisUrl'),
    MILLRACE_NAMESPACE: database,
    MILLRACE_SECRET: 'a secret of this test',
    MILLRACE_DATA_DIR: dataDir,
    MILLRACE_POSTGRES_POOL_SIZE: '2',
    MILLRACE_HTTP_PORT: '0',
    MILLRACE_DASHBOARD_PORT: '0',
    MILLRACE_EXPORTER_PORT: '0',
    MILLRACE_METRICS_PORT: '0',
    LOG_LEVEL: 'info',
  }
}

function start(name: string, command = services[name]?.command ?? []): Running {
  const child = spawn(process.execPath, ['cli/main.ts', ...command], {
    cwd: ROOT,
    env: environmentOf(name),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  child.stdout.on('data', (data) => {
    output += data
  })
  child.stderr.on('data', (data) => {
    output += data
  })
  const one = { name, child, output: () => output, ended: once(child, 'close') }
  running.push(one)
  return one
}

/** One command of the image, run to its end as by `docker compose run --rm migrate …`. */
async function command(...args: string[]): Promise<string> {
  const { child, output, ended } = start('migrate', args)
  await ended
  expect(child.exitCode, output()).toBe(0)
  return output()
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

test('migrated once and started all at the same time, the services carry an event and stop cleanly', async () => {
  expect(await command(...(services.migrate?.command ?? []))).toContain('Applied')

  const started = STARTED.map((name) => start(name))
  const addresses = await Promise.all(started.map(addressesOf))
  for (const [i, { probes }] of addresses.entries()) {
    expect((await fetch(`${probes}/healthz`)).status, STARTED[i]).toBe(200)
    expect((await fetch(`${probes}/readyz`)).status, STARTED[i]).toBe(200)
  }

  const writeKey = /mk_pub_\w+/.exec(await command('keys', 'create', '--source', 'web'))?.[0]
  const secretKey = /mk_sec_\w+/.exec(await command('keys', 'create', '--secret'))?.[0]
  const accepted = await fetch(`${addresses[STARTED.indexOf('collector')]?.http}/v1/track`, {
    method: 'POST',
    headers: { authorization: `Bearer ${writeKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ userId: 'me', event: 'Product Viewed' }),
  })
  expect(accepted.status).toBe(200)
  const api = addresses[STARTED.indexOf('api')]?.http
  const me = () => fetch(`${api}/api/v1/users/me`, { headers: { authorization: `Bearer ${secretKey}` } })
  await waitFor(async () => (await me()).status === 200, { timeoutMs: 20_000 })

  for (const { child } of started) child.kill('SIGTERM')
  await Promise.all(started.map((one) => one.ended))
  expect(started.map((one) => [one.name, one.child.exitCode])).toEqual(STARTED.map((name) => [name, 0]))
}, 120_000)
