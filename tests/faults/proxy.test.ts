// The proxy of the fault tests is itself tried, on a real Redis and a real Postgres: what it breaks, and what it leaves.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Redis } from 'ioredis'
import { Client } from 'pg'
import { afterEach, expect, inject, test } from 'vitest'
import { waitFor } from '../support/wait-for.ts'
import { postgresReplies, redisCommands } from './framing.ts'
import { type FaultProxy, startProxy } from './proxy.ts'

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function redisThrough(): Promise<{ proxy: FaultProxy; redis: Redis; direct: Redis; key: string }> {
  const url = new URL(inject('redisUrl'))
  const direct = new Redis(url.toString())
  const proxy = await startProxy({ targetPort: Number(url.port), requests: redisCommands })
  url.port = String(proxy.port)
  const redis = new Redis(url.toString(), { retryStrategy: () => 50, maxRetriesPerRequest: 0 })
  redis.on('error', () => {})
  await redis.ping()
  const key = `proxy-test-${process.pid}-${Math.random().toString(36).slice(2)}`
  closing.push(
    () => proxy.close(),
    () => direct.disconnect(),
    () => redis.disconnect(),
  )
  return { proxy, redis, direct, key }
}

const failure = (call: Promise<unknown>) =>
  call.then(
    () => 'answered',
    (error: Error) => error.message,
  )

test('a swallowed reply leaves the command done and the client in the dark', async () => {
  const { proxy, redis, direct, key } = await redisThrough()
  const hits = proxy.plan({ on: 'request', matches: /^incr /, act: 'swallow' })
  expect(await failure(redis.incr(key))).not.toBe('answered')
  expect(hits()).toBe(1)
  expect(await direct.get(key)).toBe('1')
  expect(await redis.incr(key)).toBe(2)
})

test('a pipeline that is cut at its third command leaves the first two done and no half of the third', async () => {
  const { proxy, redis, direct, key } = await redisThrough()
  const hits = proxy.plan({ on: 'request', matches: /^rpush /, act: 'cut', skip: 2 })
  const long = 'x'.repeat(200_000)
  const pushes = redis.pipeline()
  for (const value of ['a', 'b', long, 'd']) pushes.rpush(key, value)
  const replies = await pushes.exec().catch(() => undefined)
  expect(replies?.every(([error]) => error === null) ?? false).toBe(false)
  expect(hits()).toBe(1)
  // The client hears of the cut before Redis has read what came before it.
  await waitFor(async () => (await direct.llen(key)) >= 2)
  expect(await direct.lrange(key, 0, -1)).toEqual(['a', 'b'])
})

test('a Postgres commit whose reply is swallowed has committed', async () => {
  const url = new URL(inject('postgresUrl'))
  const target = Number(url.port)
  const direct = new Client({ connectionString: url.toString() })
  await direct.connect()
  const proxy = await startProxy({ targetPort: target, replies: postgresReplies })
  url.port = String(proxy.port)
  const client = new Client({ connectionString: url.toString() })
  client.on('error', () => {})
  await client.connect()
  const table = `proxy_test_${process.pid}`
  await direct.query(`create table ${table} (n int)`)
  closing.push(
    () => proxy.close(),
    () => direct.end(),
    () => direct.query(`drop table ${table}`),
  )
  const hits = proxy.plan({ on: 'reply', matches: /^C COMMIT/, act: 'swallow' })
  await client.query('begin')
  await client.query(`insert into ${table} values (1)`)
  expect(await failure(client.query('commit'))).not.toBe('answered')
  expect(hits()).toBe(1)
  expect((await direct.query(`select n from ${table}`)).rows).toEqual([{ n: 1 }])
})

test('an HTTP request whose reply is swallowed has arrived', async () => {
  let arrived = 0
  const server = createServer((_request, response) => {
    arrived += 1
    response.end('ok')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const proxy = await startProxy({ targetPort: (server.address() as AddressInfo).port })
  closing.push(
    () => proxy.close(),
    () => server.close(),
    () => server.closeAllConnections(),
  )
  const url = `http://127.0.0.1:${proxy.port}/`
  proxy.plan({ on: 'reply', matches: /^HTTP\/1.1 200/, act: 'swallow' })
  expect(await failure(fetch(url))).not.toBe('answered')
  expect(arrived).toBe(1)
  expect(await (await fetch(url)).text()).toBe('ok')
})

test('what is held back arrives when healed; latency and bandwidth take their time; nothing is out of order', async () => {
  const { proxy, redis, key } = await redisThrough()
  proxy.set({ holdReplies: true })
  let answered = 0
  const held = Array.from({ length: 20 }, () => redis.incr(key).then((value) => (answered = value)))
  await new Promise((resolve) => setTimeout(resolve, 150))
  expect(answered).toBe(0)
  proxy.heal()
  expect(await Promise.all(held)).toEqual(held.map((_, i) => i + 1))

  proxy.set({ latencyMs: 60, jitterMs: 20 })
  const startedAt = performance.now()
  const values = await Promise.all(Array.from({ length: 10 }, () => redis.incr(key)))
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(118)
  expect(values).toEqual(values.map((_, i) => 21 + i))
  proxy.heal()

  proxy.set({ bytesPerSecond: 100_000 })
  const slowFrom = performance.now()
  await redis.set(key, 'y'.repeat(30_000))
  expect(performance.now() - slowFrom).toBeGreaterThanOrEqual(250)
})

test('a reset is seen at once, a refusing proxy takes nobody, and a healed one is as before', async () => {
  const { proxy, redis, direct, key } = await redisThrough()
  proxy.set({ refuse: true })
  expect(proxy.reset()).toBe(1)
  await waitFor(() => redis.status === 'reconnecting', { what: 'the client to notice' })
  expect(proxy.connections()).toBe(0)
  proxy.heal()
  await waitFor(async () => (await redis.incr(key)) > 0, { what: 'a new connection' })
  expect(await direct.exists(key)).toBe(1)
})
