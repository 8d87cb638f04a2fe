// Who may ask the API: secret keys, in either scheme, until they are revoked; never write keys.
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { formatKey } from '../../domain/keys.ts'
import { issueKey } from '../../store/keys.ts'
import { createSource } from '../../store/sources.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let api: ApiServer

beforeAll(async () => {
  world = await testWorld()
  api = await startApi(world)
})
afterAll(async () => {
  await api.close()
  await world.close()
})

test('a request without a key is a 401 problem that says how to send one', async () => {
  const { status, body, headers } = await api.call('GET', '/api/v1/users', { key: null })
  expect(status).toBe(401)
  expect(body.code).toBe('unauthorized')
  expect(body.detail).toContain('Bearer mk_sec_')
  expect(headers.get('www-authenticate')).toContain('Bearer')
})

test('a mistyped key is told from an unknown one', async () => {
  const unknown = formatKey('sec', randomBytes(16))
  const mistyped = `${unknown.slice(0, -1)}${unknown.endsWith('a') ? 'b' : 'a'}`
  expect((await api.call('GET', '/api/v1/users', { key: mistyped })).body.detail).toContain('mistyped')
  const { status, body } = await api.call('GET', '/api/v1/users', { key: unknown })
  expect(status).toBe(401)
  expect(body.detail).toContain('unknown or revoked')
})

test('a write key may not read', async () => {
  const sourceId = await createSource(world.sql, { name: 'shop' })
  const { key } = await issueKey(world.sql, { kind: 'pub', sourceId }, randomBytes(16))
  const { status, body } = await api.call('GET', '/api/v1/users', { key })
  expect(status).toBe(403)
  expect(body.code).toBe('forbidden')
})

test('Basic auth with the secret key as user name works', async () => {
  const basic = `Basic ${Buffer.from(`${api.key}:`).toString('base64')}`
  const { status } = await api.call('GET', '/api/v1/users', { key: null, headers: { authorization: basic } })
  expect(status).toBe(200)
})

test('a key that is revoked through the API is refused at once', async () => {
  const made = await api.post('/api/v1/keys', { kind: 'sec', name: 'short-lived' })
  expect((await api.call('GET', '/api/v1/users', { key: made.body.key })).status).toBe(200)
  expect((await api.call('DELETE', `/api/v1/keys/${made.body.keyId}`)).status).toBe(200)
  expect((await api.call('GET', '/api/v1/users', { key: made.body.key })).status).toBe(401)
})

test('answers with personal data are not cached', async () => {
  expect((await api.get('/api/v1/users')).headers.get('cache-control')).toBe('no-store')
})

test('an unknown path under /api is a 404 problem', async () => {
  const { status, body } = await api.get('/api/v1/nothing')
  expect(status).toBe(404)
  expect(body.code).toBe('not_found')
})

test('requests are counted by route and outcome, without ids', async () => {
  await api.get('/api/v1/users/counted-user')
  const text = await world.metrics.registry.metrics()
  expect(text).toContain(
    'millrace_http_requests_total{service="api",route="/api/v1/users/:userId",status="4xx"} 1',
  )
  expect(text).not.toContain('counted-user')
})
