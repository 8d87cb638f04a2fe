// The local Redis on this machine: the settings that 2xx promises, a password nobody sees, its data after a kill, and the
// fetch of its program, which happens once.
import { readFileSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type LocalRedis, startRedis } from '../../../cli/local/redis.ts'
import { findRedisServer } from '../../../cli/local/redis-server.ts'
import { endOf, isRunning, launchServerProgram } from '../../support/launched.ts'
import { waitFor } from '../../support/wait-for.ts'

let dir: string
let server: LocalRedis | undefined
let client: Redis | undefined

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-redis-test-'))
})

afterEach(async () => {
  client?.disconnect()
  await server?.stop()
  client = undefined
  server = undefined
})

afterAll(() => rm(dir, { recursive: true, force: true }))

async function start(): Promise<{ redis: Redis; local: LocalRedis }> {
  const local = await startRedis({ dir, port: 0, maxmemoryMb: 96, log: () => {}, env: process.env })
  server = local
  client = connect(local.url)
  return { redis: client, local }
}

function connect(url: string): Redis {
  const redis = new Redis(url, { retryStrategy: () => 100 })
  redis.on('error', () => {})
  return redis
}

test('it writes every command to disk, evicts nothing, and listens on this machine only', async () => {
  const { redis } = await start()
  const setting = async (name: string) => String(Object.values(Object(await redis.config('GET', name)))[1])
  expect(await setting('appendonly')).toBe('yes')
  expect(await setting('appendfsync')).toBe('always')
  expect(await setting('no-appendfsync-on-rewrite')).toBe('no')
  expect(await setting('maxmemory-policy')).toBe('noeviction')
  expect(await setting('maxmemory')).toBe(String(96 * 1024 * 1024))
  expect(await setting('save')).toBe('')
  expect(await setting('bind')).toBe('127.0.0.1')
})

test('its password is needed, kept from others, and on no command line', async () => {
  const { local } = await start()
  const { password } = new URL(local.url)
  expect(password).toMatch(/^[0-9a-f]{36}$/)
  expect(readFileSync(`/proc/${local.pid}/cmdline`, 'utf8')).not.toContain(password)
  expect(readFileSync(`/proc/${local.pid}/environ`, 'utf8')).not.toContain(password)
  expect(statSync(join(dir, 'redis.conf')).mode & 0o077).toBe(0)
  expect(statSync(join(dir, 'password')).mode & 0o077).toBe(0)
  const stranger = new Redis(local.port, '127.0.0.1', { maxRetriesPerRequest: 0 })
  stranger.on('error', () => {})
  await expect(stranger.get('a')).rejects.toThrow(/NOAUTH/)
  stranger.disconnect()
})

test('what was acknowledged is there after a kill', async () => {
  const { redis, local } = await start()
  await redis.set('kept', 'yes')
  local.kill('SIGKILL')
  await waitFor(() => redis.status !== 'ready', { what: 'the end of the connection' })
  await local.restart()
  expect(await redis.get('kept')).toBe('yes')
})

test('data in use are refused to a second start', async () => {
  const { redis } = await start()
  await expect(startRedis({ dir, port: 0, log: () => {}, env: process.env })).rejects.toThrow(
    `another Millrace (pid ${process.pid}) uses the Redis`,
  )
  expect(await redis.get('kept')).toBe('yes')
})

test('a Redis whose launcher was killed is ended by the next start; one whose launcher exits ends with it', async () => {
  const orphaned = await launchServerProgram(['redis', dir])
  orphaned.child.kill('SIGKILL')
  await endOf(orphaned.child)
  expect(isRunning(orphaned.pid)).toBe(true)
  const { redis, local } = await start()
  expect(isRunning(orphaned.pid)).toBe(false)
  expect(await redis.get('kept')).toBe('yes')
  await local.stop()

  const careless = await launchServerProgram(['redis', dir, 'exit'])
  expect(await endOf(careless.child)).toEqual({ code: 0, signal: null })
  await waitFor(() => !isRunning(careless.pid), { what: 'the end of the server' })
})

test('where none is installed the packages are fetched once for all who ask at the same time', async (context) => {
  const cache = await mkdtemp(join(tmpdir(), 'millrace-cache-test-'))
  const env = { ...process.env, XDG_CACHE_HOME: cache }
  const lines: string[] = []
  const ask = () => findRedisServer(env, dir, (line) => lines.push(line))
  try {
    const found = await Promise.all([ask(), ask(), ask()])
    if (found[0]?.libraryPath === undefined) context.skip('a Redis is installed here')
    expect(lines).toHaveLength(1)
    expect(new Set(found.map((one) => one.program)).size).toBe(1)
    expect((await ask()).program).toBe(found[0]?.program)
    expect(lines).toHaveLength(1)
  } finally {
    await rm(cache, { recursive: true, force: true })
  }
})
