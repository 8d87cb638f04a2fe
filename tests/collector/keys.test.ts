// Keys at the door: what each wrong one is told, where a key may be used from, how fast, and how soon it is revoked.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openKeyCache } from '../../collector/key-cache.ts'
import { formatKey, type KeyRecord } from '../../domain/keys.ts'
import { createLog } from '../../runtime/log.ts'
import { listKeys, revokeKey } from '../../store/keys.ts'
import { basic, startCollector, type TestCollector } from '../support/collector.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let collector: TestCollector
beforeAll(async () => {
  world = await testWorld()
  collector = await startCollector(world)
})
afterAll(async () => {
  await collector?.stop()
  await world?.close()
})

const message = { event: 'E', userId: 'u' }
const send = (key: string, headers: Record<string, string> = {}, body: unknown = message) =>
  collector.post(
    Array.isArray(body) ? '/v1/batch' : '/v1/track',
    Array.isArray(body) ? { batch: body } : body,
    {
      authorization: basic(key),
      ...headers,
    },
  )
const told = async (reply: Response) => {
  const problem = (await reply.json()) as { detail: string }
  return [reply.status, problem.detail]
}

describe('a wrong key is told what is wrong with it', () => {
  test('mistyped', async () => {
    const mistyped = `${collector.key.slice(0, -1)}${collector.key.endsWith('0') ? '1' : '0'}`
    expect(await told(await send(mistyped))).toEqual([401, expect.stringContaining('mistyped')])
  })
  test('not ours', async () => {
    expect(await told(await send('abcdef'))).toEqual([401, expect.stringContaining('not a Millrace key')])
  })
  test('unknown', async () => {
    const unknown = formatKey('pub', randomBytes(16))
    expect(await told(await send(unknown))).toEqual([401, expect.stringContaining('unknown or was revoked')])
  })
  test('another scheme', async () => {
    const reply = await collector.post('/v1/track', message, { authorization: 'Digest x' })
    expect(reply.status).toBe(401)
  })
  test('secret, on a server and, worse, in a browser', async () => {
    expect(await told(await send(collector.secretKey))).toEqual([403, expect.stringContaining('write key')])
    expect(await told(await send(collector.secretKey, { origin: 'https://shop.example' }))).toEqual([
      403,
      expect.stringContaining('revoke it'),
    ])
  })
})

test('a revoked key stops within 5 s, and its use was noted by nobody else', async () => {
  const { key, keyId } = await collector.newKey()
  expect((await send(key)).status).toBe(200)
  expect(await revokeKey(world.sql, keyId)).toBe(true)
  expect(await revokeKey(world.sql, keyId)).toBe(false)
  const revokedAt = Date.now()
  await waitFor(async () => (await send(key)).status === 401, { timeoutMs: 6000, everyMs: 50, what: '401' })
  expect(Date.now() - revokedAt).toBeLessThan(5000)
  const row = (await listKeys(world.sql)).find((candidate) => candidate.keyId === keyId)
  expect(row).toMatchObject({ sourceName: 'test', lastFour: key.slice(-4), revokedAt: expect.any(Date) })
  expect(JSON.stringify(await listKeys(world.sql))).not.toContain(key)
})

test('origins restrict browsers only', async () => {
  const { key } = await collector.newKey({ allowedOrigins: ['https://shop.example'] })
  expect((await send(key, { origin: 'https://shop.example' })).status).toBe(200)
  expect((await send(key, { origin: 'https://evil.example' })).status).toBe(403)
  expect((await send(key, { origin: 'null' })).status).toBe(403)
  expect((await send(key)).status).toBe(200)
})

test('addresses and ranges restrict everybody; a range that is none lets nobody in', async () => {
  const allowed = await collector.newKey({ allowedIps: ['10.0.0.0/8', '127.0.0.0/24'] })
  const other = await collector.newKey({ allowedIps: ['10.0.0.0/8', '::1'] })
  const broken = await collector.newKey({ allowedIps: ['localhost', '127.0.0.1/99'] })
  expect((await send(allowed.key)).status).toBe(200)
  expect((await send(other.key)).status).toBe(403)
  expect((await send(broken.key)).status).toBe(403)
})

test('a key over its rate gets 429 with the time to wait, and is served again', async () => {
  const { key } = await collector.newKey({ rateLimitPerSecond: 10 })
  const ten = Array.from({ length: 10 }, () => ({ type: 'track', ...message }))
  expect((await send(key, {}, ten)).status).toBe(200)
  const refused = await send(key, {}, ten)
  expect(refused.status).toBe(429)
  expect(refused.headers.get('retry-after')).toBe('1')
  expect(await refused.json()).toMatchObject({ code: 'rate_limited' })
  await waitFor(async () => (await send(key, {}, ten)).status === 200, {
    timeoutMs: 3000,
    what: 'a full bucket',
  })
})

describe('while Postgres is away', () => {
  const record: KeyRecord = {
    keyId: 1,
    kind: 'pub',
    sourceId: 1,
    acceptEventsSince: null,
    allowedOrigins: [],
    allowedIps: [],
    rateLimitPerSecond: null,
  }
  const open = (state: { away: boolean; lookups: number }) =>
    openKeyCache({
      findKey: async () => {
        state.lookups += 1
        if (state.away) throw new Error('ECONNREFUSED')
        return record
      },
      touchKeys: async () => {},
      log: createLog({ level: 'silent', service: 'test' }),
    })

  test('a known key keeps working and an unknown one is a 503, not a 401', async () => {
    const state = { away: false, lookups: 0 }
    const keys = open(state)
    const known = formatKey('pub', randomBytes(16))
    await keys.find(known)
    state.away = true
    const refreshed = async () => {
      await keys.find(known)
      return state.lookups > 1
    }
    await waitFor(refreshed, { what: 'a refresh', everyMs: 100 })
    expect((await keys.find(known)).record.keyId).toBe(1)
    const failed = await Promise.resolve(keys.find(formatKey('pub', randomBytes(16)))).catch((error) => error)
    expect(failed).toMatchObject({ code: 'unavailable' })
    await keys.close()
  })
  test('many requests with one new key are one look-up', async () => {
    const state = { away: false, lookups: 0 }
    const keys = open(state)
    const key = formatKey('pub', randomBytes(16))
    await Promise.all(Array.from({ length: 100 }, () => keys.find(key)))
    expect(state.lookups).toBe(1)
    await keys.close()
  })
})
