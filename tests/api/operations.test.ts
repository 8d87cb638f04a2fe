// Sources, keys, failed events, queues and the audit log, as an operator steers them over HTTP.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { deadJobKey } from '../../queues/dead-jobs.ts'
import { openQueue } from '../../queues/sender.ts'
import { recordFailedEvents } from '../../store/failed-events.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
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

test('a source is made once, listed, and its name cannot be taken again', async () => {
  const made = await api.post('/api/v1/sources', { name: 'web', acceptEventsSince: '2020-01-01T00:00:00Z' })
  expect(made.status).toBe(201)
  const { body } = await api.get('/api/v1/sources')
  expect(body.data).toMatchObject([
    { name: 'web', acceptEventsSince: '2020-01-01T00:00:00.000Z', activeKeys: 0 },
  ])
  expect((await api.post('/api/v1/sources', { name: 'web' })).status).toBe(409)
})

test('a write key is made for a source and its text is never shown again', async () => {
  const made = await api.post('/api/v1/keys', {
    kind: 'pub',
    sourceId: 1,
    allowedOrigins: ['https://shop.example'],
  })
  expect(made.status).toBe(201)
  expect(made.body.key).toMatch(/^mk_pub_/)
  const listed = await api.get('/api/v1/keys')
  expect(listed.text).not.toContain(made.body.key)
  expect(listed.body.data.at(-1)).toMatchObject({
    kind: 'pub',
    sourceName: 'web',
    lastFour: made.body.key.slice(-4),
  })
})

test.each([
  [{ kind: 'pub' }, 400],
  [{ kind: 'sec', sourceId: 1 }, 400],
  [{ kind: 'pub', sourceId: 31000 }, 404],
  [{ kind: 'root' }, 400],
  [{ kind: 'sec', role: 'admin' }, 400],
  [{ kind: 'pub', sourceId: '1' }, 400],
])('a key that makes no sense is refused: %j', async (body, status) => {
  expect((await api.post('/api/v1/keys', body)).status).toBe(status)
})

test('a failure is listed, read raw, and sent again to its queue under a new job id', async () => {
  const batch = normalBatch([normalEvent({ userId: 'u-1', messageId: 'm-failed' })])
  await recordFailedEvents(world.sql, [
    {
      failedKey: 'k1',
      stage: 'persist',
      code: 'row_rejected',
      reason: 'why',
      messageId: 'm-failed',
      payload: JSON.stringify(batch),
    },
  ])
  const { body: list } = await api.get('/api/v1/failed-events?stage=persist&code=row_rejected')
  expect(list.data).toMatchObject([{ stage: 'persist', messageId: 'm-failed', replays: 0 }])
  const id = list.data[0].failedId
  expect(JSON.parse((await api.get(`/api/v1/failed-events/${id}`)).body.payload)).toEqual(batch)
  expect((await api.get('/api/v1/failed-events/counts')).body.data).toEqual([
    { stage: 'persist', code: 'row_rejected', count: 1 },
  ])

  expect((await api.post(`/api/v1/failed-events/${id}/replay`)).body).toEqual({
    failedId: id,
    replayed: true,
  })
  const queue = openQueue(world.producer, world.namespace, 'persist', true)
  const [job] = await queue.getJobs(['waiting'])
  await queue.close()
  expect(job?.id).toBe(`pe-${batch.batchId}-r${id}`)
  expect((await api.get('/api/v1/failed-events')).body.data).toEqual([])
  expect((await api.post(`/api/v1/failed-events/${id}/replay`)).status).toBe(404)
})

test('a failure whose payload fits no queue stays open and says why', async () => {
  await recordFailedEvents(world.sql, [
    { failedKey: 'k2', stage: 'persist', code: 'payload_mismatch', reason: 'why', payload: '{"v":9}' },
    { failedKey: 'k3', stage: 'nowhere', code: 'payload_mismatch', reason: 'why', payload: '{}' },
  ])
  const all = await api.post('/api/v1/failed-events/replay', { code: 'payload_mismatch' })
  expect(all.body).toEqual({ replayed: 0, refused: 2 })
  const { body } = await api.get('/api/v1/failed-events')
  const one = await api.post(`/api/v1/failed-events/${body.data[0].failedId}/replay`)
  expect(one.status).toBe(409)
  for (const row of body.data)
    expect((await api.post(`/api/v1/failed-events/${row.failedId}/discard`)).status).toBe(200)
  expect((await api.get('/api/v1/failed-events')).body.data).toEqual([])
})

test('a dead job that is sent again leaves the failed set, so that it is not recorded twice', async () => {
  const batch = normalBatch([normalEvent({ userId: 'u-dead' })], 'batch-dead-1')
  const queue = openQueue(world.producer, world.namespace, 'persist', true)
  await queue.add('persist', batch, { jobId: 'pe-batch-dead-1' })
  const key = `{${world.namespace}-persist}:persist`
  await world.producer.lrem(`${key}:wait`, 1, 'pe-batch-dead-1')
  await world.producer.zadd(`${key}:failed`, Date.now(), 'pe-batch-dead-1')
  await recordFailedEvents(world.sql, [
    {
      failedKey: deadJobKey('persist', 'pe-batch-dead-1'),
      stage: 'persist',
      code: 'job_timeout',
      reason: 'why',
      payload: JSON.stringify(batch),
    },
  ])
  const { body } = await api.get('/api/v1/failed-events?code=job_timeout')
  expect((await api.post(`/api/v1/failed-events/${body.data[0].failedId}/replay`)).status).toBe(200)
  expect(await queue.getFailedCount()).toBe(0)
  const waiting = await queue.getJobs(['waiting'])
  expect(waiting.map((job) => job.id)).toContain(`pe-batch-dead-1-r${body.data[0].failedId}`)
  await Promise.all(waiting.filter((job) => job.id?.startsWith('pe-batch-dead')).map((job) => job.remove()))
  await queue.close()
})

test('a pool is paused and resumed with all its queues, and one queue alone', async () => {
  const paused = async () => {
    const { body } = await api.get('/api/v1/queues')
    return body.data
      .filter((row: { paused: boolean }) => row.paused)
      .map((row: { queue: string }) => row.queue)
  }
  expect((await api.post('/api/v1/queues/segment/pause')).body.paused).toHaveLength(4)
  expect(await paused()).toEqual(['segment-00', 'segment-01', 'segment-02', 'segment-03'])
  await api.post('/api/v1/queues/segment-02/resume')
  expect(await paused()).toEqual(['segment-00', 'segment-01', 'segment-03'])
  await api.post('/api/v1/queues/segment/resume')
  expect(await paused()).toEqual([])
  expect((await api.post('/api/v1/queues/nothing/pause')).status).toBe(404)
})

test('the queue list shows depth and age', async () => {
  await waitFor(async () => {
    const { body } = await api.get('/api/v1/queues')
    const row = body.data.find((one: { queue: string }) => one.queue === 'persist')
    return row.waiting === 1 && row.oldestAgeMs > 0 && body.redis.maxMemoryBytes > 0
  })
})

test('every change left a line in the audit log, newest first, without any key text', async () => {
  const { body, text } = await api.get('/api/v1/audit?limit=500')
  const actions = body.data.map((row: { action: string }) => row.action)
  for (const action of [
    'source.create',
    'key.create',
    'failed-event.replay',
    'failed-event.discard',
    'queue.pause',
    'queue.resume',
  ]) {
    expect(actions).toContain(action)
  }
  expect(body.data[0].actor).toBe(`key:${api.keyId}`)
  expect(text).not.toContain('mk_')
})
