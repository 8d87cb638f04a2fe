// Bull Board behind the log-in: what it shows of jobs, and what each role may change.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { hashPassword } from '../../dashboard/passwords.ts'
import { allQueueNames, deliver, ingest, persist } from '../../queues/pipeline.ts'
import { openQueue } from '../../queues/sender.ts'
import { createDashboardUser } from '../../store/dashboard-users.ts'
import { ADMIN_PASSWORD, type Client, client, openDashboard } from '../support/dashboard-client.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let opened: Awaited<ReturnType<typeof openDashboard>>
let admin: Client
let operator: Client
let viewer: Client
const SECRET_MARK = 'person@secret.example'

beforeAll(async () => {
  world = await testWorld({ dashboardPort: 0, secret: 'test secret', adminPassword: ADMIN_PASSWORD })
  opened = await openDashboard(world)
  for (const role of ['operator', 'viewer'] as const) {
    await createDashboardUser(world.sql, {
      name: role,
      role,
      passwordHash: await hashPassword(`password of ${role}`),
    })
  }
  admin = client(opened.origin)
  operator = client(opened.origin)
  viewer = client(opened.origin)
  await admin.logIn('admin', ADMIN_PASSWORD)
  await operator.logIn('operator', 'password of operator')
  await viewer.logIn('viewer', 'password of viewer')
  await world.sender.send(ingest, [
    {
      v: 1,
      batchId: 'batch-ingest-1',
      requests: [
        {
          sourceId: 1,
          receivedAt: Date.UTC(2026, 10, 20),
          ip: '203.0.113.0',
          messages: [
            { type: 'identify', messageId: 'm-1', userId: SECRET_MARK, traits: { email: SECRET_MARK } },
          ],
        },
      ],
    },
  ])
  await world.sender.send(persist, [
    normalBatch(
      [normalEvent({ messageId: 'm-2', userId: SECRET_MARK, properties: `{"email":"${SECRET_MARK}"}` })],
      'batch-persist-1',
    ),
  ])
  await world.sender.send(deliver, [
    { v: 1, channel: 'email', deliveryKey: 'c1-s1', campaignId: 1, profileId: 4242, changeId: 1 },
  ])
})
afterAll(async () => {
  await opened.dashboard.stop()
  await world.close()
})

const API = '/admin/queues/api/queues'
const json = { accept: 'application/json' }

test('every queue of the deployment is on the board', async () => {
  const { text } = await admin.get(API, json)
  const names = JSON.parse(text).queues.map((queue: { name: string }) => queue.name)
  expect(names.sort()).toEqual(allQueueNames(world.config.shards).sort())
})

test.each(['ingest', 'persist'])('jobs of %s show ids and counts, nothing personal', async (queue) => {
  const { text } = await admin.get(`${API}?activeQueue=${queue}&page=1&jobsPerPage=10`, json)
  expect(text).not.toContain(SECRET_MARK)
  const active = JSON.parse(text).queues.find((one: { name: string }) => one.name === queue)
  expect(active.jobs[0].data).toMatchObject({ events: 1, messageIds: [queue === 'ingest' ? 'm-1' : 'm-2'] })
  const one = await admin.get(`${API}/${queue}/${active.jobs[0].id}`, json)
  expect(one.status).toBe(200)
  expect(one.text).not.toContain(SECRET_MARK)
})

test('a job below persist is shown as it is: it has no personal data', async () => {
  const { text } = await admin.get(`${API}/deliver-email/de-c1-s1-email`, json)
  expect(JSON.parse(text).job.data).toEqual({
    v: 1,
    channel: 'email',
    deliveryKey: 'c1-s1',
    campaignId: 1,
    profileId: 4242,
    changeId: 1,
  })
})

test('a viewer is shown a board without buttons, and every change is a 405', async () => {
  const { text } = await viewer.get(API, json)
  expect(JSON.parse(text).queues.every((queue: { readOnlyMode: boolean }) => queue.readOnlyMode)).toBe(true)
  for (const path of ['/persist/pause', '/persist/retry/failed', '/persist/clean/failed', '/pause']) {
    expect((await viewer.put(`${API}${path}`)).status).toBe(405)
  }
})

test('an operator pauses, resumes and retries, and may not clean', async () => {
  expect((await operator.put(`${API}/persist/pause`)).status).toBe(200)
  expect(await isPaused('persist')).toBe(true)
  expect((await operator.put(`${API}/persist/resume`)).status).toBe(200)
  expect(await isPaused('persist')).toBe(false)
  expect((await operator.put(`${API}/persist/retry/failed`)).status).toBe(200)
  expect((await operator.put(`${API}/persist/clean/failed`)).status).toBe(405)
})

test('an admin cleans failed jobs; nobody throws away what was accepted', async () => {
  expect((await admin.put(`${API}/persist/clean/failed`)).status).toBe(200)
  for (const path of [
    '/persist/clean/wait',
    '/persist/clean/delayed',
    '/persist/empty',
    '/persist/obliterate',
  ]) {
    expect((await admin.put(`${API}${path}`)).status).toBe(405)
  }
  expect((await admin.call('POST', `${API}/persist/add`, { headers: json })).status).toBe(405)
  expect(
    (await admin.call('PATCH', `${API}/persist/pe-batch-persist-1/update-data`, { headers: json })).status,
  ).toBe(405)
  const queue = openQueue(world.producer, world.namespace, 'persist', true)
  expect(await queue.getWaitingCount()).toBe(1)
  await queue.close()
})

test('changes are in the audit log with the name of who made them', async () => {
  const rows = await world.sql<
    { actor: string; action: string; target: string }[]
  >`select actor, action, target from audit_log`
  expect(rows).toContainEqual({
    actor: 'user:operator',
    action: 'board PUT /api/queues/:queueName/pause',
    target: 'persist',
  })
  expect(rows.some((row) => row.actor === 'user:viewer' && row.action.startsWith('board'))).toBe(false)
})

test('looking does not change how long the queues keep their event streams', async () => {
  const key = `{${world.namespace}-persist}:persist:meta`
  expect(await world.producer.hget(key, 'opts.maxLenEvents')).toBe('200')
})

test('the page of the board names no other host', async () => {
  const { text, headers } = await admin.get('/admin/queues')
  expect(text).not.toMatch(/<(link|script)[^>]+(href|src)="https?:/)
  expect(headers.get('content-security-policy')).toContain("frame-ancestors 'none'")
})

async function isPaused(name: string): Promise<boolean> {
  const queue = openQueue(world.producer, world.namespace, name, true)
  const paused = await queue.isPaused()
  await queue.close()
  return paused
}
