// Finding a job by message id or person, in the queues and in Postgres.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findJobs } from '../../queues/find-jobs.ts'
import { allQueueNames, deliver, ingest, persist, segment } from '../../queues/pipeline.ts'
import { recordFailedEvents } from '../../store/failed-events.ts'
import { profileIdOfUser } from '../../store/profiles.ts'
import { ADMIN_PASSWORD, type Client, client, openDashboard } from '../support/dashboard-client.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { seedPeople } from '../support/seed-people.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let opened: Awaited<ReturnType<typeof openDashboard>>
let browser: Client

beforeAll(async () => {
  world = await testWorld({ dashboardPort: 0, secret: 'test secret', adminPassword: ADMIN_PASSWORD })
  await seedPeople(world)
  opened = await openDashboard(world)
  browser = client(opened.origin)
  await browser.logIn('admin', ADMIN_PASSWORD)
})
afterAll(async () => {
  await opened.dashboard.stop()
  await world.close()
})

const find = (id: string, profileIds: number[] = [], bounds: { maxJobs?: number; maxFound?: number } = {}) =>
  findJobs(world.producer, {
    namespace: world.namespace,
    names: allQueueNames(world.config.shards),
    needle: { id, profileIds },
    maxJobs: 1000,
    maxMs: 5000,
    maxFound: 50,
    ...bounds,
  })

test('a message is found in the job that carries it, by its id and by its person, and only there', async () => {
  await world.sender.send(ingest, [
    {
      v: 1,
      batchId: 'batch-find-1',
      requests: [
        {
          sourceId: 1,
          receivedAt: 1,
          messages: [{ type: 'track', messageId: 'm-"odd"/1', userId: 'u.find' }],
        },
      ],
    },
  ])
  await world.sender.send(persist, [
    normalBatch(
      [normalEvent({ messageId: 'm-other', userId: 'ufind', properties: '{"userId":"u.find"}' })],
      'batch-find-2',
    ),
  ])
  const job = { queue: 'ingest', jobId: 'in-batch-find-1', state: 'wait' }
  expect((await find('m-"odd"/1')).jobs).toEqual([job])
  expect((await find('u.find')).jobs).toEqual([job])
  expect((await find('in-batch-find-1')).jobs).toEqual([job])
  expect((await find('m-unknown')).jobs).toEqual([])
})

test('a profile number is found as a whole number, in shards and channels', async () => {
  await world.sender.send(segment, [
    { v: 1, batchId: 'batch-find-3', shard: 1, reason: 'event', profileIds: [12, 1234, 777], receivedAt: 1 },
  ])
  await world.sender.send(deliver, [
    { v: 1, channel: 'push', deliveryKey: 'c9-s9', campaignId: 9, profileId: 1234, changeId: 9 },
  ])
  const queues = (await find('someone', [1234])).jobs.map((job) => job.queue)
  expect(queues).toEqual(['segment-01', 'deliver-push'])
  expect((await find('someone', [123])).jobs).toEqual([])
  expect((await find('someone', [77])).jobs).toEqual([])
})

test('a look stops at its bounds and says how much it saw', async () => {
  const batches = Array.from({ length: 60 }, () => normalBatch([normalEvent({ userId: 'u-many' })]))
  await world.sender.send(persist, batches)
  const bounded = await find('nobody', [], { maxJobs: 30 })
  expect(bounded.looked).toBeLessThan(bounded.total)
  const few = await find('u-many', [], { maxFound: 5 })
  expect(few.jobs).toHaveLength(5)
})

test('the page shows where a waiting message is and links to its job on the board', async () => {
  const { status, text } = await browser.get('/search?q=m-other')
  expect(status).toBe(200)
  expect(text).toContain('href="/admin/queues/queue/persist/pe-batch-find-2"')
  const job = await browser.get('/admin/queues/api/queues/persist/pe-batch-find-2', {
    accept: 'application/json',
  })
  expect(job.status).toBe(200)
})

test('the page says when a message was kept, and what failed of it', async () => {
  expect((await browser.get('/search?q=m-order-1')).text).toContain('The message is in Postgres')
  await recordFailedEvents(world.sql, [
    {
      failedKey: 'f1',
      stage: 'persist',
      code: 'message_conflict',
      reason: 'other payload',
      messageId: 'm-order-1',
      payload: '{}',
    },
  ])
  expect((await browser.get('/search?q=m-order-1')).text).toContain('message_conflict')
})

test('the page shows what was sent to a person', async () => {
  const profileId = (await profileIdOfUser(world.sql, 'user-42')) ?? 0
  await world.sql`
    insert into deliveries (bucket, delivery_key, channel, campaign_id, profile_id, change_id, state)
    values (${profileId % 1024}, 'c3-s3', 'email', 3, ${profileId}, 3, 'sent')`
  expect((await browser.get('/search?q=user-42')).text).toContain('c3-s3')
  expect((await browser.get('/search?q=anon-1')).text).toContain('c3-s3')
})

test('what was asked for comes back as text, never as markup', async () => {
  const { text } = await browser.get(`/search?q=${encodeURIComponent('"><script>alert(1)</script>')}`)
  expect(text).not.toContain('<script>')
  expect(text).toContain('&quot;&gt;&lt;script&gt;')
})

test.each(['%00', 'a%00b', '%ED%A0%80', 'x'.repeat(5000)])('an odd question is answered: %s', async (q) => {
  expect((await browser.get(`/search?q=${q}`)).status).toBeLessThan(500)
})
