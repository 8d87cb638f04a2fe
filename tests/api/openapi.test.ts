// The API's description: complete, and true — every example in it is sent to a running server and gets the answer that is
// described.
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { seedExamples } from '../support/seed-examples.ts'
import { testWorld, type World } from '../support/world.ts'

type Media = { schema?: object; example?: unknown; examples?: Record<string, { value: unknown }> }
type Parameter = Media & {
  name: string
  in: string
  required?: boolean
  schema?: { examples?: unknown[]; example?: unknown }
}
type Operation = {
  operationId: string
  summary?: string
  tags?: string[]
  security?: Record<string, unknown>[]
  parameters?: Parameter[]
  requestBody?: { content: Record<string, Media & { schema: { examples?: unknown[] } }> }
  responses: Record<string, { content?: Record<string, Media>; $ref?: string }>
}
type Op = Operation & { path: string; method: string }

let world: World
let api: ApiServer
let writeKey: string
let operations: Op[]
let document: {
  openapi: string
  tags: { name: string }[]
  paths: Record<string, Record<string, Operation>>
  components: { schemas: object; securitySchemes: object }
}

beforeAll(async () => {
  world = await testWorld()
  api = await startApi(world, { collector: true })
  writeKey = await seedExamples(world)
  document = (await api.call('GET', '/api/openapi.json', { key: null })).body
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ ...operation, path, method })),
  )
})
afterAll(async () => {
  await api.close()
  await world.close()
})

test('the description covers reading, steering and the write routes, and needs no key', () => {
  expect(document.openapi).toBe('3.1.0')
  const described = operations.map((op) => `${op.method} ${op.path}`)
  for (const wanted of [
    'get /api/v1/users/{userId}',
    'post /api/v1/keys',
    'post /v1/batch',
    'post /api/v1/events',
  ]) {
    expect(described).toContain(wanted)
  }
})

test('every operation has an id, a summary, a known tag, and says how to prove oneself', () => {
  const tags = new Set(document.tags.map((tag) => tag.name))
  const ids = operations.map((op) => op.operationId)
  expect(new Set(ids).size).toBe(ids.length)
  for (const op of operations) {
    const name = `${op.method} ${op.path}`
    expect([name, op.summary === undefined]).toEqual([name, false])
    expect([name, (op.tags ?? []).filter((tag) => tags.has(tag)).length]).toEqual([name, 1])
    expect([name, op.security === undefined]).toEqual([name, false])
  }
})

test('problems are one shared component', () => {
  expect(Object.keys(document.components.schemas)).toContain('Problem')
  for (const op of operations.filter((one) => one.security?.[0]?.secretKey !== undefined)) {
    for (const status of ['400', '401', '403', '503']) {
      const schema = op.responses[status]?.content?.['application/problem+json']?.schema
      expect([op.path, status, schema]).toEqual([op.path, status, { $ref: '#/components/schemas/Problem' }])
    }
  }
})

test('every example is answered as described', async () => {
  const ajv = new Ajv2020({ strict: false, validateFormats: false, schemas: [] })
  let sent = 0
  for (const op of inOrder(operations)) {
    for (const request of requestsOf(op)) {
      const answer = await send(op, request)
      const name = `${op.method} ${request.path}`
      expect([name, answer.status, answer.status < 300 ? '' : answer.text]).toEqual([
        name,
        expect.any(Number),
        '',
      ])
      const described = op.responses[String(answer.status)]
      expect([name, answer.status, described !== undefined]).toEqual([name, answer.status, true])
      const schema = described?.content?.['application/json']?.schema
      if (schema !== undefined && answer.body !== undefined) {
        const check = ajv.compile({ ...schema, components: document.components })
        expect([name, check(answer.body), check.errors]).toEqual([name, true, null])
      }
      sent++
    }
  }
  expect(sent).toBeGreaterThanOrEqual(operations.length)
})

test('Swagger UI is served with a strict policy and without other hosts', async () => {
  const { status, text, headers } = await api.call('GET', '/api/docs', { key: null })
  expect(status).toBe(200)
  expect(text).toContain('swagger-ui')
  expect(text).not.toMatch(/(src|href)="https?:/)
  expect(headers.get('content-security-policy')).toContain("script-src 'self'")
})

/** What makes things comes first, what takes them away last. */
function inOrder(all: Op[]): Op[] {
  const makers = ['sources', 'templates', 'metrics', 'segments', 'campaigns']
  const rank = (op: Op) => {
    const noParameter = !op.path.includes('{')
    const maker = makers.indexOf(op.tags?.[0] ?? '')
    if (op.method === 'post' && noParameter) return maker === -1 ? 25 : maker
    if (op.method === 'get') return 10
    // Before another draft takes the place of the one that is there.
    if (/\/(publish|rollback)$/.test(op.path)) return 15
    return op.method === 'delete' ? 30 : 20
  }
  return [...all].sort((a, b) => rank(a) - rank(b))
}

/** `csv` = the body is sent as it is. */
type Request = { path: string; body?: unknown; csv?: boolean }

/** One request with only what is required for each body example, and one with every optional example. */
function requestsOf(op: Op): Request[] {
  const parameters = (op.parameters ?? []).filter((one) => one.in !== 'header')
  const required = parameters.filter((one) => one.required === true)
  const optional = parameters.filter((one) => one.required !== true && exampleOf(one) !== undefined)
  const paths = [pathWith(op.path, required)]
  if (optional.length > 0) paths.push(pathWith(op.path, [...required, ...optional]))
  const csv = op.requestBody?.content['text/csv']
  const media = op.requestBody?.content['application/json'] ?? csv
  if (media === undefined) return paths.map((path) => ({ path }))
  const examples = media.schema.examples ?? [
    ...(media.example === undefined ? [] : [media.example]),
    ...Object.values(media.examples ?? {}).map((one) => one.value),
  ]
  expect([op.path, examples.length > 0]).toEqual([op.path, true])
  return examples.flatMap((body) => paths.map((path) => ({ path, body, csv: csv !== undefined })))
}

function pathWith(template: string, parameters: Parameter[]): string {
  let path = template
  const query = new URLSearchParams()
  for (const parameter of parameters) {
    const value = exampleOf(parameter)
    expect([template, parameter.name, value === undefined]).toEqual([template, parameter.name, false])
    if (parameter.in === 'path') path = path.replace(`{${parameter.name}}`, encodeURIComponent(String(value)))
    else query.set(parameter.name, String(value))
  }
  return query.size === 0 ? path : `${path}?${query}`
}

function exampleOf(parameter: Parameter): unknown {
  // A key that works cannot stand in a description.
  if (parameter.name === 'writeKey') return writeKey
  const [first] = Object.values(parameter.examples ?? {})
  return parameter.example ?? first?.value ?? parameter.schema?.example ?? parameter.schema?.examples?.[0]
}

/** As a client does: asks for JSON, proves itself as the description says. */
async function send(op: Op, { path, body, csv }: Request) {
  const accept = { accept: 'application/json' }
  const method = op.method.toUpperCase()
  if (csv === true) return api.call(method, path, { csv: String(body), headers: accept })
  const [scheme] = op.security ?? []
  const basic = `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`
  if (scheme === undefined) return api.call(method, path, { key: null, body, headers: accept })
  if (!('writeKey' in scheme)) return api.call(method, path, { body, headers: accept })
  return api.call(method, path, { key: null, body, headers: { ...accept, authorization: basic } })
}
