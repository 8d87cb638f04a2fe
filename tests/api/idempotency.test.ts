// Idempotency-Key on admin POSTs: a retry gets the first answer again, whatever else is refused.
import { afterAll, beforeAll, expect, test } from 'vitest'
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

const once = (key: string) => ({ 'idempotency-key': key })

test('the same key and body get the first answer again, and the work is done once', async () => {
  const first = await api.post('/api/v1/keys', { kind: 'sec', name: 'twice' }, once('make-1'))
  const second = await api.post('/api/v1/keys', { kind: 'sec', name: 'twice' }, once('make-1'))
  expect(first.status).toBe(201)
  expect(first.headers.get('idempotent-replayed')).toBeNull()
  expect(second.status).toBe(201)
  expect(second.headers.get('idempotent-replayed')).toBe('true')
  expect(second.body).toEqual(first.body)
  const keys = await world.sql`select 1 from api_keys where name = 'twice'`
  expect(keys.length).toBe(1)
})

test('the key inside a kept answer is not readable in the database', async () => {
  const { body } = await api.post('/api/v1/keys', { kind: 'sec' }, once('make-2'))
  const rows = await world.sql`select response::text as text from idempotency_keys`
  expect(rows.length).toBeGreaterThan(0)
  expect(JSON.stringify(rows)).not.toContain(body.key)
})

test('the same key with another body is refused', async () => {
  await api.post('/api/v1/sources', { name: 'one' }, once('make-3'))
  const { status, body } = await api.post('/api/v1/sources', { name: 'two' }, once('make-3'))
  expect(status).toBe(422)
  expect(body.code).toBe('idempotency_mismatch')
})

test('twenty requests at once with one key do the work once', async () => {
  const answers = await Promise.all(
    Array.from({ length: 20 }, () => api.post('/api/v1/sources', { name: 'race' }, once('make-4'))),
  )
  const statuses = new Set(answers.map((answer) => answer.status))
  expect([...statuses].every((status) => status === 201 || status === 409)).toBe(true)
  const made = await world.sql`select 1 from sources where name = 'race'`
  expect(made.length).toBe(1)
  expect((await api.post('/api/v1/sources', { name: 'race' }, once('make-4'))).status).toBe(201)
})

test('a refusal because of the body does not use up the key', async () => {
  expect((await api.post('/api/v1/sources', { name: '' }, once('make-5'))).status).toBe(400)
  expect((await api.post('/api/v1/sources', { name: 'fine' }, once('make-5'))).status).toBe(201)
})

test('the same text from another API key is another key', async () => {
  await api.post('/api/v1/sources', { name: 'mine' }, once('shared'))
  const other = await api.post('/api/v1/keys', { kind: 'sec' })
  const answer = await api.call('POST', '/api/v1/sources', {
    body: { name: 'theirs' },
    key: other.body.key,
    headers: once('shared'),
  })
  expect(answer.status).toBe(201)
})

test('a key longer than 255 characters is refused', async () => {
  const { status, body } = await api.post('/api/v1/sources', { name: 'long' }, once('k'.repeat(256)))
  expect(status).toBe(400)
  expect(body.field).toBe('idempotency-key')
})

test('a claim left by a process that died is taken over after a minute', async () => {
  await api.post('/api/v1/sources', { name: 'left' }, once('make-6'))
  await world.sql`
    update idempotency_keys set status = null, response = null, created_at = now() - interval '2 minutes'
    where status = 201 and created_at = (select max(created_at) from idempotency_keys)`
  await world.sql`delete from sources where name = 'left'`
  expect((await api.post('/api/v1/sources', { name: 'left' }, once('make-6'))).status).toBe(201)
})
