// Campaigns and what they sent: made, paused and resumed through the API; a template that cannot be sent is refused with
// its place; deliveries come in exact pages.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let api: ApiServer

const mail = { channel: 'email', subject: 'Hello {{ profile.traits.firstName }}', body: 'Hi' }
const campaign = (channels: unknown[], name = 'Welcome') => ({ name, segment: 'everybody', channels })

beforeAll(async () => {
  world = await testWorld()
  api = await startApi(world)
  const rule = { match: { k: 'trait', path: 'nothing', op: 'missing' } }
  await api.post('/api/v1/segments', { slug: 'everybody', name: 'Everybody', rule })
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('a campaign is active at once, can be paused and resumed, and says so in the audit log', async () => {
  const made = await api.post(
    '/api/v1/campaigns',
    campaign([mail, { channel: 'push', body: 'Hi' }, { channel: 'webhook' }]),
  )
  expect(made.status).toBe(201)
  const { campaignId } = made.body
  expect(made.body).toMatchObject({
    segmentSlug: 'everybody',
    status: 'active',
    channels: ['email', 'push', 'webhook'],
  })
  const change = async (verb: string) =>
    (await api.post(`/api/v1/campaigns/${campaignId}/${verb}`)).body.status
  expect([await change('pause'), await change('pause'), await change('resume')]).toEqual([
    'paused',
    'paused',
    'active',
  ])
  expect((await api.get(`/api/v1/campaigns/${campaignId}`)).body).toEqual(made.body)
  expect((await api.get('/api/v1/campaigns')).body.data).toEqual([made.body])
  const { body } = await api.get('/api/v1/audit')
  expect(body.data.map((row: { action: string }) => row.action)).toEqual([
    'campaign.resume',
    'campaign.pause',
    'campaign.create',
    'segment.create',
  ])
})

test('a name is taken once, and an archived campaign stays so', async () => {
  const taken = await api.post('/api/v1/campaigns', campaign([mail]))
  expect([taken.status, taken.body.field]).toEqual([409, 'name'])
  await world.sql`update campaigns set status = 'archived'`
  expect((await api.post('/api/v1/campaigns/1/resume')).status).toBe(409)
  await world.sql`update campaigns set status = 'active'`
  expect((await api.post('/api/v1/campaigns/99/pause')).status).toBe(404)
  const nowhere = await api.post('/api/v1/campaigns', { ...campaign([mail], 'Other'), segment: 'none' })
  expect([nowhere.status, nowhere.body.field]).toEqual([404, 'segment'])
})

test.each([
  ['channels.0.body', [{ ...mail, body: '{% if %}' }]],
  ['channels.0.body', [{ ...mail, body: '{{ profile.userId | nosuchfilter }}' }]],
  ['channels.0.body', [{ ...mail, body: '{% for a in (1..100000000) %}x{% endfor %}' }]],
  ['channels.0.body', [{ ...mail, body: '{% include "/etc/passwd" %}' }]],
  ['channels.0.body', [{ ...mail, body: ' ' }]],
  ['channels.0.html', [{ ...mail, html: '<p>{{ unclosed</p>' }]],
  ['channels.0.subject', [{ ...mail, subject: 'Hi\r\nBcc: all@example.com' }]],
  ['channels.0.subject', [{ channel: 'email', body: 'Hi' }]],
  ['channels.1.channel', [mail, mail]],
  ['channels.0.html', [{ channel: 'push', body: 'Hi', html: '<p>Hi</p>' }]],
])('a message that cannot be sent is refused with its place: %s of %j', async (field, channels) => {
  const { status, body } = await api.post('/api/v1/campaigns', campaign(channels, 'Wrong'))
  expect([status, body.code, body.field]).toEqual([400, 'invalid_request', field])
  expect((await api.get('/api/v1/campaigns')).body.data).toHaveLength(1)
})

test('deliveries come newest first in pages that show each once, also within one millisecond', async () => {
  await world.sql`
    insert into deliveries (bucket, delivery_key, channel, campaign_id, profile_id, change_id, state, created_at)
    select n, 'c1-s' || n || '-' || channel, channel, 1, n, n, case n % 3 when 0 then 'sent' else 'failed' end,
      timestamptz '2026-11-20 12:00:00.123' + (n % 7) * interval '1 microsecond'
    from generate_series(1, 40) n cross join (values ('email'), ('push')) as c (channel)`
  const read = async (filter: string) => {
    const keys: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const after: string = cursor === '' ? '' : `&cursor=${cursor}`
      const { status, body } = await api.get(`/api/v1/deliveries?limit=9${filter}${after}`)
      expect(status).toBe(200)
      keys.push(...body.data.map((row: { deliveryKey: string }) => row.deliveryKey))
      cursor = body.nextCursor
    }
    return keys
  }
  const all = await world.sql`select delivery_key from deliveries order by created_at desc, delivery_key desc`
  expect(await read('')).toEqual(all.map((row) => row.delivery_key))
  expect(await read('&state=sent&channel=push&campaignId=1')).toHaveLength(13)
  expect(await read('&campaignId=2')).toEqual([])
  const { body } = await api.get('/api/v1/deliveries?limit=1')
  expect(body.data[0]).toMatchObject({ campaignId: 1, createdAt: '2026-11-20T12:00:00.123Z', sentAt: null })
})

test('deliveries are counted by channel and state', async () => {
  const { body } = await api.get('/api/v1/deliveries/counts')
  expect(body.data).toEqual([
    { channel: 'email', state: 'failed', count: 27 },
    { channel: 'email', state: 'sent', count: 13 },
    { channel: 'push', state: 'failed', count: 27 },
    { channel: 'push', state: 'sent', count: 13 },
  ])
})
