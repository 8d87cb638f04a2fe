// Segment's HTTP API as its documentation has it: paths, ways to show the key, encodings, answers.
import { deflateRawSync, deflateSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { basic, emptyIngest, startCollector, type TestCollector } from '../support/collector.ts'
import { testWorld, type World } from '../support/world.ts'

type Answer = { messageIds: { messageId: string }[]; errors: { index: number; field: string }[] }

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
beforeEach(() => emptyIngest(world))

const CALLS = {
  track: { event: 'Signed Up', userId: 'u1', messageId: 'm1', properties: { plan: 'pro' } },
  identify: { userId: 'u1', traits: { email: 'a@example.com' }, messageId: 'm2' },
  page: { anonymousId: 'a1', name: 'Home', messageId: 'm3' },
  screen: { anonymousId: 'a1', name: 'Start', messageId: 'm4' },
  group: { userId: 'u1', groupId: 'g1', messageId: 'm5' },
  alias: { userId: 'u1', previousId: 'a1', messageId: 'm6' },
}

describe('each call', () => {
  for (const [type, message] of Object.entries(CALLS)) {
    for (const path of [`/v1/${type}`, `/v1/${type.charAt(0)}`]) {
      test(`POST ${path} lands as a ${type}`, async () => {
        const reply = await collector.post(path, message)
        expect(reply.status).toBe(200)
        expect(await reply.json()).toEqual({ success: true, accepted: 1, refused: 0, errors: [] })
        expect(await collector.landed()).toMatchObject([
          { sourceId: collector.sourceId, messages: [{ ...message, type }] },
        ])
      })
    }
  }

  for (const path of ['/v1/batch', '/v1/import', '/v1/b']) {
    test(`POST ${path} takes many`, async () => {
      const batch = Object.entries(CALLS).map(([type, message]) => ({ type, ...message }))
      const sentAt = '2026-11-21T05:47:00.000Z'
      const reply = await collector.post(path, {
        batch,
        sentAt,
        context: { app: { name: 'shop' } },
        integrations: { All: true },
      })
      expect(reply.status).toBe(200)
      expect(await reply.json()).toMatchObject({ success: true, accepted: 6, refused: 0 })
      expect(await collector.landed()).toMatchObject([
        {
          messages: batch,
          sentAt: Date.parse(sentAt),
          context: { app: { name: 'shop' } },
          integrations: { All: true },
        },
      ])
    })
  }
})

describe('the write key is taken from', () => {
  const message = { event: 'E', userId: 'u' }
  const bare = (body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${collector.url}/v1/batch`, { method: 'POST', body: JSON.stringify(body), headers })
  const batch = [{ type: 'track', ...message }]

  test('the user name of Basic', async () => {
    expect((await bare({ batch }, { authorization: basic(collector.key) })).status).toBe(200)
  })
  test('Bearer', async () => {
    expect((await bare({ batch }, { authorization: `Bearer ${collector.key}` })).status).toBe(200)
  })
  test('the body, and is not stored', async () => {
    expect((await bare({ batch, writeKey: collector.key })).status).toBe(200)
    expect(JSON.stringify(await collector.landed())).not.toContain(collector.key)
  })
  test('the events of the body, and is not stored', async () => {
    const withKey = batch.map((event) => ({ ...event, writeKey: collector.key }))
    expect((await bare({ batch: withKey })).status).toBe(200)
    expect(JSON.stringify(await collector.landed())).not.toContain(collector.key)
  })
  test('nowhere else: 401 says how', async () => {
    const reply = await bare({ batch })
    expect(reply.status).toBe(401)
    expect(await reply.json()).toMatchObject({ code: 'unauthorized', field: 'writeKey' })
  })
})

describe('bodies', () => {
  const text = JSON.stringify({ event: 'Bought', userId: 'u1', messageId: 'm' })
  const codings: [string, string | undefined, Uint8Array][] = [
    ['plain', undefined, Buffer.from(text)],
    ['gzip', 'gzip', gzipSync(text)],
    ['deflate', 'deflate', deflateSync(text)],
    ['bare deflate', 'deflate', deflateRawSync(text)],
    ['identity', 'identity', Buffer.from(text)],
    ['a byte order mark', undefined, Buffer.from(`\ufeff${text}`)],
  ]
  for (const [name, coding, body] of codings) {
    test(`may be ${name}`, async () => {
      const reply = await collector.post(
        '/v1/track',
        body,
        coding === undefined ? {} : { 'content-encoding': coding },
      )
      expect(reply.status).toBe(200)
      expect(await collector.landed()).toMatchObject([{ messages: [{ event: 'Bought' }] }])
    })
  }
  for (const type of ['application/json; charset=utf-8', 'text/plain', 'text/plain;charset=UTF-8']) {
    test(`may be ${type}`, async () => {
      expect((await collector.post('/v1/track', text, { 'content-type': type })).status).toBe(200)
    })
  }
})

test('an event without messageId is given one, and the answer says what that means', async () => {
  const reply = await collector.post('/v1/track', { event: 'E', userId: 'u' })
  const answer = (await reply.json()) as Answer
  expect(answer).toMatchObject({ success: true, messageIds: [{ index: 0 }], note: expect.any(String) })
  expect(await collector.landed()).toMatchObject([
    { messages: [{ messageId: answer.messageIds[0]?.messageId }] },
  ])
})

test('good events of a batch are accepted and each bad one is named', async () => {
  const reply = await collector.post('/v1/batch', {
    batch: [
      { type: 'track', event: 'A', userId: 'u', messageId: 'a' },
      { type: 'track', userId: 'u', messageId: 'b' },
      { type: 'nonsense', userId: 'u' },
      { type: 'page', messageId: 'c' },
      { type: 'page', anonymousId: 'x', messageId: 'd', properties: { price: 1e17 } },
      'text',
      { type: 'identify', userId: 42, messageId: 'e' },
    ],
  })
  expect(reply.status).toBe(200)
  const answer = (await reply.json()) as Answer
  expect(answer).toMatchObject({ success: true, accepted: 2, refused: 5 })
  expect(answer.errors.map((error) => [error.index, error.field])).toEqual([
    [1, 'event'],
    [2, 'type'],
    [3, 'userId'],
    [4, 'properties.price'],
    [5, ''],
  ])
  expect(await collector.landed()).toMatchObject([
    { messages: [{ messageId: 'a' }, { messageId: 'e', userId: '42' }] },
  ])
})

test('a request that is all bad is one 400 with every reason, and nothing is stored', async () => {
  const reply = await collector.post('/v1/batch', { batch: [{ type: 'track' }, { type: 'x' }] })
  expect(reply.status).toBe(400)
  expect(reply.headers.get('content-type')).toContain('application/problem+json')
  expect(await reply.json()).toMatchObject({
    code: 'all_events_invalid',
    refused: 2,
    errors: [{ index: 0 }, { index: 1 }],
  })
  expect(await collector.landed()).toEqual([])
})

test('the sender is kept as a network and a user agent, with its opt-out', async () => {
  await collector.post(
    '/v1/track',
    { event: 'E', userId: 'u' },
    { 'user-agent': 'shop/1.0', 'sec-gpc': '1', 'x-forwarded-for': '9.9.9.9', 'cf-ipcountry': 'DE' },
  )
  const [request] = await collector.landed()
  expect(request).toMatchObject({ ip: '127.0.0.0', userAgent: 'shop/1.0', gpc: true })
  expect(request).not.toHaveProperty('country')
})

test('a large batch is cut into jobs of bounded size and all of it lands, in order', async () => {
  const batch = Array.from({ length: 700 }, (_, i) => ({
    type: 'track',
    event: 'E',
    userId: 'u',
    messageId: `m${i}`,
    properties: { text: 'x'.repeat(i % 7 === 0 ? 1500 : 200) },
  }))
  const reply = await collector.post('/v1/batch', { batch })
  expect(await reply.json()).toMatchObject({ accepted: 700 })
  const requests = await collector.landed()
  expect(requests.length).toBeGreaterThan(1)
  for (const request of requests) expect(JSON.stringify(request).length).toBeLessThan(288 * 1024)
  const ids = requests.flatMap((request) => request.messages.map((message) => message.messageId))
  expect(new Set(ids).size).toBe(700)
})

describe('e-commerce events', () => {
  test('become Segment messages', async () => {
    const events = [
      { type: 'PAGE_VIEW', anonymousId: 'a', messageId: '1', properties: { name: 'Shoes' } },
      { type: 'PURCHASE', userId: 'u', messageId: '2', sessionId: 's1', properties: { revenue: 10 } },
      { type: 'ADD_TO_CART', userId: 'u', messageId: '3', context: { page: { path: '/' } }, sessionId: 's1' },
    ]
    const reply = await collector.post('/api/v1/events/batch', { events })
    expect(await reply.json()).toMatchObject({ success: true, accepted: 3 })
    expect(await collector.landed()).toMatchObject([
      {
        messages: [
          { type: 'page', name: 'Shoes', anonymousId: 'a' },
          { type: 'track', event: 'Order Completed', context: { sessionId: 's1' } },
          { type: 'track', event: 'Product Added', context: { page: { path: '/' }, sessionId: 's1' } },
        ],
      },
    ])
  })
  test('one alone is answered like any event, an unknown type or field is named', async () => {
    expect((await collector.post('/api/v1/events', { type: 'SEARCH', userId: 'u' })).status).toBe(200)
    const reply = await collector.post('/api/v1/events', { type: 'DANCE', userId: 'u' })
    expect(reply.status).toBe(400)
    expect(await reply.json()).toMatchObject({ code: 'invalid_event', field: 'type' })
    const mistyped = await collector.post('/api/v1/events', { type: 'SEARCH', userID: 'u' })
    expect(await mistyped.json()).toMatchObject({ field: 'userID' })
  })
})

describe('browsers', () => {
  test('may ask from anywhere before they send', async () => {
    const reply = await fetch(`${collector.url}/v1/t`, {
      method: 'OPTIONS',
      headers: { origin: 'https://shop.example' },
    })
    expect(reply.status).toBe(204)
    expect(reply.headers.get('access-control-allow-origin')).toBe('*')
    expect(reply.headers.get('access-control-allow-headers')).toContain('Authorization')
    expect(reply.headers.get('access-control-allow-credentials')).toBeNull()
  })
  test('may read Retry-After, also of a refusal', async () => {
    const reply = await collector.post('/v1/t', '{', { origin: 'https://shop.example' })
    expect(reply.status).toBe(400)
    expect(reply.headers.get('access-control-allow-origin')).toBe('*')
    expect(reply.headers.get('access-control-expose-headers')).toBe('Retry-After')
  })
  test('find settings that point back here', async () => {
    const reply = await fetch(`${collector.url}/v1/projects/${collector.key}/settings`)
    expect(reply.status).toBe(200)
    expect(await reply.json()).toMatchObject({
      integrations: {
        'Segment.io': { apiKey: collector.key, apiHost: `127.0.0.1:${collector.port}/v1`, protocol: 'http' },
      },
    })
    expect((await fetch(`${collector.url}/v1/projects/mk_pub_nothing/settings`)).status).toBe(404)
  })
})

test('other methods get 405 with what is allowed', async () => {
  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
    const reply = await fetch(`${collector.url}/v1/track`, { method })
    expect(reply.status).toBe(405)
    expect(reply.headers.get('allow')).toContain('POST')
  }
})
