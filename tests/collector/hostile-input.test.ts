// The corpus of bad input: each is a clear 4xx with its code, nothing of it is stored, and the collector goes on.
import { connect } from 'node:net'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { basic, emptyIngest, startCollector, type TestCollector } from '../support/collector.ts'
import { CORPUS, good } from '../support/hostile-bodies.ts'
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
beforeEach(() => emptyIngest(world))

const TIMES = [
  '2026-02-30T00:00:00Z',
  '2026-13-01T00:00:00Z',
  '2026-01-01T24:00:00Z',
  '2026-01-01T00:00:00',
  '2026-01-01',
  '0000-01-01T00:00:00Z',
  '0001-01-01T00:00:00Z',
  '1970-01-01T00:00:00Z',
  '+275760-09-13T00:00:00Z',
  '-000001-01-01T00:00:00Z',
  '10000-01-01T00:00:00Z',
  'yesterday',
  '1732164420000',
]

describe('a single event', () => {
  for (const [name, body, status, code, field] of CORPUS) {
    test(`${name}: ${status} ${code}`, async () => {
      const reply = await collector.post('/v1/track', body)
      const problem = (await reply.json()) as Record<string, unknown>
      expect([reply.status, problem.code]).toEqual([status, code])
      if (field !== undefined) expect(problem.field).toSatisfy((path: string) => path.startsWith(field))
      expect(await collector.landed()).toEqual([])
    })
  }
  for (const field of ['timestamp', 'originalTimestamp', 'sentAt']) {
    for (const value of [...TIMES, 1_732_164_420_000, {}, true]) {
      test(`${field} ${JSON.stringify(value)}: 400`, async () => {
        const reply = await collector.post('/v1/track', { ...good, [field]: value })
        expect(reply.status).toBe(400)
        expect(await reply.json()).toMatchObject({ code: 'invalid_event', field })
      })
    }
  }
  test('older than its source accepts: 400 event_out_of_range', async () => {
    const reply = await collector.post('/v1/track', { ...good, timestamp: '1997-01-01T00:00:00Z' })
    expect(reply.status).toBe(400)
    expect(await reply.json()).toMatchObject({ code: 'event_out_of_range', field: 'timestamp' })
  })
})

describe('a batch', () => {
  const BATCHES: [string, unknown, number, string][] = [
    ['without events', {}, 400, 'invalid_request'],
    ['that is empty', { batch: [] }, 400, 'invalid_request'],
    ['that is an object', { batch: { 0: good } }, 400, 'invalid_request'],
    ['with a bad sentAt', { batch: [{ type: 'track', ...good }], sentAt: 'now' }, 400, 'invalid_request'],
    ['with a bad context', { batch: [{ type: 'track', ...good }], context: [] }, 400, 'invalid_request'],
    ['of 2,501 events', { batch: Array.from({ length: 2501 }, () => 1) }, 413, 'payload_too_large'],
    ['that is all bad', { batch: [1, 'x', null, [], {}] }, 400, 'all_events_invalid'],
    [
      'with two keys in its events',
      {
        batch: [
          { ...good, writeKey: 'a' },
          { ...good, writeKey: 'b' },
        ],
      },
      400,
      'invalid_request',
    ],
  ]
  for (const [name, body, status, code] of BATCHES) {
    test(`${name}: ${status} ${code}`, async () => {
      const reply = await collector.post('/v1/batch', body)
      expect([reply.status, ((await reply.json()) as { code: string }).code]).toEqual([status, code])
      expect(await collector.landed()).toEqual([])
    })
  }
  test('keeps what is good beside an event that is too large', async () => {
    const batch = [
      { type: 'track', ...good, messageId: 'a' },
      { type: 'track', ...good, messageId: 'b', properties: { x: '\u20ac'.repeat(12_000) } },
    ]
    const reply = await collector.post('/v1/batch', { batch })
    expect(await reply.json()).toMatchObject({
      accepted: 1,
      errors: [{ index: 1, code: 'payload_too_large' }],
    })
  })
})

describe('encodings and media types', () => {
  const bomb = gzipSync(Buffer.alloc(50 * 1024 * 1024))
  const CASES: [string, Record<string, string>, string | Uint8Array, number, string][] = [
    ['a gzip bomb', { 'content-encoding': 'gzip' }, bomb, 413, 'payload_too_large'],
    ['gzip that is none', { 'content-encoding': 'gzip' }, JSON.stringify(good), 400, 'malformed_json'],
    [
      'half of a gzip',
      { 'content-encoding': 'gzip' },
      gzipSync(JSON.stringify(good)).subarray(0, 30),
      400,
      'malformed_json',
    ],
    ['brotli', { 'content-encoding': 'br' }, JSON.stringify(good), 415, 'unsupported_media'],
    [
      'gzip twice',
      { 'content-encoding': 'gzip, gzip' },
      gzipSync(gzipSync(JSON.stringify(good))),
      415,
      'unsupported_media',
    ],
    ['a form', { 'content-type': 'application/x-www-form-urlencoded' }, 'event=E', 415, 'unsupported_media'],
    ['XML', { 'content-type': 'application/xml' }, '<e/>', 415, 'unsupported_media'],
    [
      'another charset',
      { 'content-type': 'application/json; charset=latin1' },
      JSON.stringify(good),
      415,
      'unsupported_media',
    ],
    ['a media type that is none', { 'content-type': '///' }, JSON.stringify(good), 415, 'unsupported_media'],
  ]
  for (const [name, headers, body, status, code] of CASES) {
    test(`${name}: ${status} ${code}`, async () => {
      const reply = await collector.post('/v1/track', body, headers)
      expect([reply.status, ((await reply.json()) as { code: string }).code]).toEqual([status, code])
    })
  }
})

describe('a client that breaks HTTP', () => {
  const raw = (request: string) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect(collector.port, '127.0.0.1')
      let reply = ''
      socket.setTimeout(5000, () => socket.destroy())
      socket.on('data', (chunk) => {
        reply += chunk
        if (reply.includes('\r\n\r\n')) socket.end()
      })
      socket.on('error', reject)
      socket.on('close', () => resolve(reply))
      socket.write(request)
    })
  const head = (extra: string) =>
    `POST /v1/track HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic(collector.key)}\r\nContent-Type: application/json\r\n${extra}\r\n`

  test('a chunked body that never ends is cut off at the limit', async () => {
    const chunk = `10000\r\n${'x'.repeat(65_536)}\r\n`
    const reply = await raw(`${head('Transfer-Encoding: chunked\r\n')}${chunk.repeat(10)}`)
    expect(reply).toMatch(/^HTTP\/1.1 413/)
  })
  test('two lengths, or a length beside chunks, are refused', async () => {
    expect(await raw(`${head('Content-Length: 2\r\nContent-Length: 3\r\n')}{}`)).toMatch(/^HTTP\/1.1 400/)
    expect(await raw(`${head('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n')}0\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 400/,
    )
  })
  test('headers of 20 kB are refused', async () => {
    expect(await raw(`${head(`X-Long: ${'x'.repeat(20_000)}\r\n`)}`)).toMatch(/^HTTP\/1.1 431/)
  })
})

describe('whatever is sent', () => {
  const paths = ['/v1/track', '/v1/batch', '/v1/identify', '/v1/b', '/api/v1/events', '/api/v1/events/batch']

  test('random JSON is never a 5xx', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), fc.json({ maxDepth: 6 }), async (path, text) => {
        expect((await collector.post(path, text)).status).toBeLessThan(500)
      }),
      { numRuns: 300 },
    )
  })
  test('random fields of nearly good events are never a 5xx, and what is taken is well formed', async () => {
    const field = fc.constantFrom(
      'type',
      'event',
      'name',
      'userId',
      'messageId',
      'timestamp',
      'properties',
      'traits',
      'context',
      'groupId',
    )
    const base = { type: 'track', ...good }
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.dictionary(field, fc.jsonValue({ maxDepth: 3 })), { minLength: 1, maxLength: 5 }),
        async (changes) => {
          const reply = await collector.post('/v1/batch', {
            batch: changes.map((change) => ({ ...base, ...change })),
          })
          expect([200, 400]).toContain(reply.status)
        },
      ),
      { numRuns: 300 },
    )
    await collector.landed()
  })
  test('random bytes are never a 5xx', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), fc.uint8Array({ maxLength: 200 }), async (path, bytes) => {
        expect((await collector.post(path, bytes)).status).toBeLessThan(500)
      }),
      { numRuns: 200 },
    )
  })
})
