// Never writing to somebody again: the link in a message, which acts on POST only, and the operator's own list.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { addressHash } from '../../domain/addresses.ts'
import { makeUnsubscribeToken } from '../../domain/unsubscribe.ts'
import type { Channel } from '../../schema/jobs.ts'
import { isSuppressed } from '../../store/suppressions.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let api: ApiServer
const SECRET = 'the secret of this deployment'

beforeAll(async () => {
  world = await testWorld({ secret: SECRET })
  api = await startApi(world)
  // 2049 was merged into 1025; 3073 has no address.
  await world.sql`
    insert into profiles (bucket, profile_id, first_id, first_seen, last_seen, traits, merged_into)
    values (1, 1025, 'a', now(), now(), '{"email": "Ada@Example.com", "pushToken": "token-1"}', null),
      (1, 2049, 'b', now(), now(), '{}', 1025),
      (1, 3073, 'c', now(), now(), '{}', null)`
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

const linkOf = (profileId: number, channel: Channel, secret = SECRET) =>
  `${api.url}/api/v1/unsubscribe/${makeUnsubscribeToken(secret, { campaignId: 7, profileId, channel })}`
const isOut = (channel: Channel, address: string) =>
  isSuppressed(world.sql, channel, addressHash(SECRET, channel, address))
const suppressions = () => world.sql`select channel, reason, campaign_id from suppressions order by channel`

test('opening the link shows a page with a button and changes nothing', async () => {
  const answer = await fetch(linkOf(1025, 'email'))
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
  expect(answer.headers.get('content-security-policy')).toContain("default-src 'none'")
  expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
  const page = await answer.text()
  expect(page).toContain('<form method="post">')
  expect(page.toLowerCase()).not.toContain('ada')
  expect(await isOut('email', 'ada@example.com')).toBe(false)
})

test('the one-click POST of a mail program suppresses the address on that channel, once', async () => {
  for (let i = 0; i < 2; i++) {
    const answer = await fetch(linkOf(1025, 'email'), {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: 'List-Unsubscribe=One-Click',
    })
    expect(answer.status).toBe(200)
  }
  expect(await isOut('email', 'ada@example.com')).toBe(true)
  expect(await isOut('push', 'token-1')).toBe(false)
  expect([...(await suppressions())]).toEqual([{ channel: 'email', reason: 'unsubscribed', campaign_id: 7 }])
})

test('a form of several parts, and the link of a profile that was merged since, work too', async () => {
  const form = new FormData()
  form.set('List-Unsubscribe', 'One-Click')
  const answer = await fetch(linkOf(2049, 'push'), { method: 'POST', body: form })
  expect(answer.status).toBe(200)
  expect(await isOut('push', 'token-1')).toBe(true)
})

test('a link that we did not sign, or that was changed, does nothing', async () => {
  const before = (await suppressions()).length
  const good = linkOf(1025, 'email')
  const changed = good.endsWith('A') ? `${good.slice(0, -1)}B` : `${good.slice(0, -1)}A`
  const { url } = api
  for (const link of [
    linkOf(1025, 'sms', 'another secret'),
    changed.slice(0, -2),
    `${url}/api/v1/unsubscribe/x`,
    `${url}/api/v1/unsubscribe/..`,
    `${url}/api/v1/unsubscribe/%00.%00`,
    `${url}/api/v1/unsubscribe/${'a'.repeat(400)}`,
  ]) {
    for (const method of ['GET', 'POST']) {
      const { status } = await fetch(link, { method })
      expect([link, method, status >= 400 && status < 500]).toEqual([link, method, true])
    }
  }
  expect((await suppressions()).length).toBe(before)
})

test('the link of somebody without an address, or who is gone, is answered like any other', async () => {
  const before = (await suppressions()).length
  for (const profileId of [3073, 999_999]) {
    const answer = await fetch(linkOf(profileId, 'email'), { method: 'POST' })
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('Done')])
  }
  expect((await suppressions()).length).toBe(before)
})

test('an operator suppresses, asks about and lifts an address, which is nowhere kept', async () => {
  const address = { channel: 'email', address: 'Bert@Example.com' }
  const ask = async (path: string) => (await api.post(`/api/v1/suppressions${path}`, address)).body
  expect(await ask('/check')).toEqual({ suppressed: false })
  expect(await ask('')).toEqual({ suppressed: true, changed: true })
  expect(await ask('')).toEqual({ suppressed: true, changed: false })
  expect(await ask('/check')).toEqual({ suppressed: true })
  expect(await isOut('email', 'bert@example.com')).toBe(true)
  expect(await ask('/lift')).toEqual({ suppressed: false, changed: true })
  expect(await ask('/lift')).toEqual({ suppressed: false, changed: false })
  const audit = JSON.stringify((await api.get('/api/v1/audit')).body)
  expect(audit).toContain('suppression.lift')
  expect(audit.toLowerCase()).not.toContain('bert')
  const wrong = await api.post('/api/v1/suppressions', { channel: 'email', address: 'no address' })
  expect([wrong.status, wrong.body.field]).toEqual([400, 'address'])
})

test('only the link works without a key', async () => {
  for (const path of ['/api/v1/suppressions', '/api/v1/segments', '/api/v1/campaigns']) {
    expect((await api.call('POST', path, { key: null, body: {} })).status).toBe(401)
  }
  expect((await api.call('GET', '/api/v1/deliveries', { key: null })).status).toBe(401)
})
