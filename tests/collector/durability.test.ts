// A 2xx means that Redis holds the events, and nothing hangs: frozen, gone and full Redis, each with recovery. Its own
// Redis, because it is stopped and killed here.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type LocalRedis, startRedis } from '../../cli/local/redis.ts'
import { emptyIngest, startCollector, type TestCollector } from '../support/collector.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let dir: string
let redis: LocalRedis
let world: World
let collector: TestCollector

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-durability-'))
  redis = await startRedis({
    dir: join(dir, 'redis'),
    port: 0,
    maxmemoryMb: 256,
    log: () => {},
    env: process.env,
  })
  world = await testWorld({ redisUrl: redis.url, softDepthJobs: 20, hardDepthJobs: 1000 })
  collector = await startCollector(world)
})
afterAll(async () => {
  await collector?.stop()
  await world?.close()
  await redis?.stop()
  await rm(dir, { recursive: true, force: true })
})
beforeEach(async () => {
  await emptyIngest(world)
  await waitFor(async () => (await send('warm-up')).status === 200, { what: 'an open door' })
  await emptyIngest(world)
})

let sent = 0
const send = (messageId = `m-${++sent}`) =>
  collector.post('/v1/track', { event: 'E', userId: 'u', messageId })

test('while Redis is frozen every request is a 503 within 2 s, and when it thaws the retry lands', async () => {
  redis.kill('SIGSTOP')
  try {
    const startedAt = performance.now()
    const replies = await Promise.all(Array.from({ length: 20 }, (_, i) => send(`frozen-${i}`)))
    expect(performance.now() - startedAt).toBeLessThan(2000)
    for (const reply of replies) {
      expect(reply.status).toBe(503)
      expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0)
    }
  } finally {
    redis.kill('SIGCONT')
  }
  await waitFor(async () => (await send('frozen-0')).status === 200, { what: 'recovery' })
  const messages = (await collector.landed()).flatMap((request) => request.messages)
  expect(messages).toContainEqual(expect.objectContaining({ messageId: 'frozen-0' }))
})

test('what was answered 200 is still there after Redis was killed; meanwhile requests are 503, not hung', async () => {
  const acknowledged: string[] = []
  // Fewer than the reopening mark: nothing drains this queue.
  for (let i = 0; i < 8; i++) {
    if ((await send(`kill-${i}`)).status === 200) acknowledged.push(`kill-${i}`)
  }
  redis.kill('SIGKILL')
  const startedAt = performance.now()
  await waitFor(async () => (await send()).status === 503, { timeoutMs: 5000, what: 'a 503' })
  expect((await send()).status).toBe(503)
  expect(performance.now() - startedAt).toBeLessThan(6000)
  await redis.restart()
  await waitFor(async () => (await send()).status === 200, { what: 'recovery' })
  const landed = new Set(
    (await collector.landed()).flatMap((request) => request.messages.map((m) => m.messageId)),
  )
  expect(acknowledged.length).toBeGreaterThan(0)
  expect(acknowledged.filter((id) => !landed.has(id))).toEqual([])
})

describe('shedding', () => {
  test('over the soft mark 429 with Retry-After, and open again by itself when the queue has drained', async () => {
    const refused = await waitFor(
      async () => {
        const reply = await send()
        return reply.status === 200 ? undefined : reply
      },
      { everyMs: 5, what: 'a refusal' },
    )
    expect(refused.status).toBe(429)
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await refused.json()).toMatchObject({ code: 'overloaded' })
    await emptyIngest(world)
    await waitFor(async () => (await send()).status === 200, { what: 'an open door' })
  })
  test('over the hard mark of memory 503, before Redis itself refuses', async () => {
    await world.producer.config('SET', 'maxmemory', '2mb')
    try {
      const refused = await waitFor(
        async () => {
          const reply = await send()
          return reply.status === 503 ? reply : undefined
        },
        { everyMs: 20, what: 'a 503' },
      )
      expect(await refused.json()).toMatchObject({
        code: 'unavailable',
        detail: expect.stringContaining('full'),
      })
    } finally {
      await world.producer.config('SET', 'maxmemory', '256mb')
    }
    await waitFor(async () => (await send()).status === 200, { what: 'an open door' })
  })
})

test('many requests share few jobs', async () => {
  const jobs = () => world.producer.llen(`{${world.namespace}-ingest}:ingest:wait`)
  const before = await jobs()
  // Its door stays open: nothing drains the queue here.
  const config = { ...world.config, softDepthJobs: 10_000 }
  const open = await startCollector({ ...world, config })
  const replies = await Promise.all(
    Array.from({ length: 200 }, () => open.post('/v1/track', { event: 'E', userId: 'u' })),
  )
  await open.stop()
  expect(replies.every((reply) => reply.status === 200)).toBe(true)
  expect((await jobs()) - before).toBeLessThan(100)
  expect((await open.landed()).length).toBeGreaterThanOrEqual(200)
})

test('a stopping collector answers what it has taken', async () => {
  const other = await startCollector(world)
  const replies = Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      other.post('/v1/track', { event: 'E', userId: 'u', messageId: `stop-${i}` }).catch(() => undefined),
    ),
  )
  await waitFor(async () => (await collector.landed()).length > 0, { what: 'the first event' })
  await other.stop()
  const acknowledged = (await replies).filter((reply) => reply?.status === 200).length
  expect(acknowledged).toBeGreaterThan(0)
  const landed = (await collector.landed()).flatMap((request) => request.messages)
  expect(
    landed.filter((message) => String(message.messageId).startsWith('stop-')).length,
  ).toBeGreaterThanOrEqual(acknowledged)
})
