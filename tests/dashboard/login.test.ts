// The dashboard's door: who gets in, who has to wait, and which requests count as made by a person on our pages.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { hashPassword } from '../../dashboard/passwords.ts'
import { startDashboard } from '../../dashboard/server.ts'
import { serversOf } from '../../queues/connection.ts'
import { createDashboardUser } from '../../store/dashboard-users.ts'
import { ADMIN_PASSWORD, client, openDashboard } from '../support/dashboard-client.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let opened: Awaited<ReturnType<typeof openDashboard>>

beforeAll(async () => {
  world = await testWorld({ dashboardPort: 0, secret: 'test secret', adminPassword: ADMIN_PASSWORD })
  opened = await openDashboard(world)
})
afterAll(async () => {
  await opened.dashboard.stop()
  await world.close()
})
beforeEach(async () => {
  for (const server of serversOf(world.producer)) {
    const keys = await server.keys(`${world.namespace}:c:{login}:*`)
    if (keys.length > 0) await server.del(...keys)
  }
})

test('a page asks for a log-in first and leads back to what was wanted', async () => {
  const browser = client(opened.origin)
  const wanted = await browser.get('/search?q=m-1')
  expect(wanted.status).toBe(303)
  expect(wanted.headers.get('location')).toBe('/login?next=%2Fsearch%3Fq%3Dm-1')
  const done = await browser.logIn('admin', ADMIN_PASSWORD, '/search?q=m-1')
  expect(done.status).toBe(303)
  expect(done.headers.get('location')).toBe('/search?q=m-1')
  expect((await browser.get('/search?q=m-1')).status).toBe(200)
})

test('the board and its API are closed without a log-in', async () => {
  const browser = client(opened.origin)
  expect((await browser.get('/admin/queues')).status).toBe(303)
  expect((await browser.get('/admin/queues/api/queues', { accept: 'application/json' })).status).toBe(401)
  expect((await browser.put('/admin/queues/api/queues/persist/pause')).status).toBe(401)
})

test('the cookie is out of reach of scripts and other sites', async () => {
  const { headers } = await client(opened.origin).logIn('admin', ADMIN_PASSWORD)
  const cookie = headers.get('set-cookie') ?? ''
  for (const part of ['HttpOnly', 'SameSite=Strict', 'Path=/']) expect(cookie).toContain(part)
})

test('an unknown name gets the same answer as a wrong password', async () => {
  const wrong = await client(opened.origin).logIn('admin', 'not the password')
  const unknown = await client(opened.origin).logIn('nobody', 'not the password')
  expect(wrong.status).toBe(401)
  expect(unknown.status).toBe(401)
  expect(unknown.text.replace('nobody', 'admin')).toBe(wrong.text)
})

test('after a few wrong passwords every further try has to wait, also with the right one', async () => {
  const browser = client(opened.origin)
  for (let i = 0; i < 6; i++) expect((await browser.logIn('admin', `wrong ${i}`)).status).toBe(401)
  const refused = await browser.logIn('admin', ADMIN_PASSWORD)
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(refused.text).toContain('Too many tries')
})

test('tries at once are counted each', async () => {
  const statuses = await Promise.all(
    Array.from({ length: 12 }, async () => (await client(opened.origin).logIn('admin', 'wrong')).status),
  )
  expect(statuses.filter((status) => status === 429).length).toBeGreaterThanOrEqual(6)
})

test('a signed-out session is over at once, and a forged or foreign cookie never was one', async () => {
  const browser = client(opened.origin)
  await browser.logIn('admin', ADMIN_PASSWORD)
  const cookie = browser.cookie()
  expect((await browser.call('POST', '/logout')).status).toBe(303)
  expect((await client(opened.origin).get('/search', { cookie })).status).toBe(303)
  expect((await client(opened.origin).get('/search', { cookie: 'millrace_session=abc.def' })).status).toBe(
    303,
  )
})

test('a change from another site or without an origin is refused', async () => {
  const browser = client(opened.origin)
  await browser.logIn('admin', ADMIN_PASSWORD)
  expect(
    (await browser.put('/admin/queues/api/queues/persist/pause', { origin: 'https://evil.example' })).status,
  ).toBe(403)
  const bare = await fetch(`${opened.origin}/admin/queues/api/queues/persist/pause`, {
    method: 'PUT',
    headers: { cookie: browser.cookie() },
  })
  expect(bare.status).toBe(403)
  expect((await browser.put('/admin/queues/api/queues/persist/pause')).status).toBe(200)
  await browser.put('/admin/queues/api/queues/persist/resume')
})

test.each(['//evil.example', 'https://evil.example', '/\\evil.example', 'javascript:alert(1)'])(
  'a log-in never leads to another host: %s',
  async (next) => {
    const done = await client(opened.origin).logIn('admin', ADMIN_PASSWORD, next)
    expect(done.headers.get('location')).toBe('/admin/queues')
  },
)

test('a changed password ends sessions', async () => {
  await createDashboardUser(world.sql, {
    name: 'mira',
    role: 'operator',
    passwordHash: await hashPassword('a first password'),
  })
  const browser = client(opened.origin)
  await browser.logIn('mira', 'a first password')
  await world.sql`update dashboard_users set password_hash = ${await hashPassword('a second password')} where name = 'mira'`
  expect((await browser.get('/search')).status).toBe(303)
})

test('the first password is generated once and works; a second start has none', async () => {
  const fresh = await testWorld({ dashboardPort: 0, secret: 'test secret' })
  const first = await openDashboard(fresh)
  const second = await openDashboard(fresh)
  expect(first.dashboard.firstPassword).toMatch(/^[a-z0-9]{5}(-[a-z0-9]{5}){3}$/)
  expect(second.dashboard.firstPassword).toBeUndefined()
  const done = await client(second.origin).logIn('admin', first.dashboard.firstPassword ?? '')
  expect(done.status).toBe(303)
  await first.dashboard.stop()
  await second.dashboard.stop()
  await fresh.close()
})

test('it does not start without a secret to sign with', async () => {
  const { log, sql, servers, producer } = world
  const config = { ...world.config, secret: '' }
  await expect(startDashboard({ config, log, sql, servers, redis: producer })).rejects.toThrow(
    'MILLRACE_SECRET',
  )
})
