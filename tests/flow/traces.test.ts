// One event is followed through the pools of a real deployment: its spans arrive by OTLP as one trace, and nothing personal is
// in them.
import { createServer, type Server } from 'node:http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { isJsonObject } from '../../domain/validate-json.ts'
import { type Deployment, PROCESS_A_POOL, startDeployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'

type Span = {
  traceId: string
  spanId: string
  parentSpanId?: string
  name: string
  service: string
  text: string
}

let receiver: Server
let deployment: Deployment
const spans: Span[] = []

/** What an OTLP receiver is sent: https://opentelemetry.io/docs/specs/otlp/#otlphttp, as JSON. */
function keep(body: unknown): void {
  const list = (value: unknown, key: string): Record<string, unknown>[] =>
    isJsonObject(value) && Array.isArray(value[key]) ? value[key].filter(isJsonObject) : []
  for (const resource of list(body, 'resourceSpans'))
    for (const scope of list(resource, 'scopeSpans'))
      for (const span of list(scope, 'spans')) {
        const { traceId, spanId, parentSpanId, name } = span
        const service = /"millrace-[a-z-]+"/.exec(JSON.stringify(resource.resource))?.[0] ?? ''
        spans.push({
          traceId: String(traceId),
          spanId: String(spanId),
          ...(parentSpanId === undefined ? {} : { parentSpanId: String(parentSpanId) }),
          name: String(name),
          service,
          text: JSON.stringify(span),
        })
      }
}

beforeAll(async () => {
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      if (request.url === '/v1/traces') keep(JSON.parse(Buffer.concat(chunks).toString()))
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const address = receiver.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  deployment = await startDeployment({
    processes: PROCESS_A_POOL,
    config: { tracesPerMillion: 1_000_000, otlpEndpoint: `http://127.0.0.1:${port}` },
  })
}, 90_000)
afterAll(async () => {
  await deployment?.close()
  await new Promise((resolve) => receiver.close(resolve))
}, 60_000)

test('the spans of one request, from the door to its segment, are one trace without what was sent', async () => {
  const { httpUrl, note } = deployment
  const reply = await fetch(`${httpUrl}/v1/track`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${note.writeKey}` },
    body: JSON.stringify({
      messageId: 'traced-1',
      userId: 'secret-person@private.example',
      event: 'Order Completed',
      properties: { revenue: 1, note: 'secret-note' },
    }),
  })
  expect(reply.status).toBe(200)
  const wanted = [
    'collect',
    'addBulk ingest',
    'process ingest',
    'addBulk persist',
    'process persist',
    'process archive',
    'addBulk segment',
    'process segment',
  ]
  const ofTrace = () => {
    const root = spans.find((span) => span.name === 'collect')
    return spans.filter((span) => span.traceId === root?.traceId)
  }
  const missing = () => wanted.filter((name) => !ofTrace().some((span) => span.name.startsWith(name)))
  await waitFor(() => missing().length === 0, {
    timeoutMs: 25_000,
    everyMs: 500,
    what: 'a span of every pool in one trace',
  })
  const trace = ofTrace()
  expect(new Set(trace.map((span) => span.service)).size).toBeGreaterThanOrEqual(5)
  const ids = new Set(trace.map((span) => span.spanId))
  const rootless = trace.filter((span) => span.parentSpanId === undefined || !ids.has(span.parentSpanId))
  expect(rootless.map((span) => span.name)).toEqual(['collect'])
  expect(spans.filter((span) => /secret-(person|note)/.test(span.text))).toEqual([])
})
