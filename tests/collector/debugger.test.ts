// The event debugger: each verdict within a second, as a stream and as a page, without whole ids of people.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { startCollector, type TestCollector } from '../support/collector.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let collector: TestCollector
beforeAll(async () => {
  world = await testWorld()
  collector = await startCollector(world)
})
afterAll(async () => {
  await collector?.stop()
  await world?.close()
})

type Entry = Record<string, unknown>
const feed = (headers: Record<string, string>) =>
  fetch(`${collector.url}/api/v1/sources/${collector.sourceId}/feed`, { headers })
const newest = async () => {
  const reply = await feed({ authorization: `Bearer ${collector.secretKey}`, accept: 'application/json' })
  return ((await reply.json()) as { entries: Entry[] }).entries
}

test('shows each event with its verdict, field and reason, and people only masked', async () => {
  await collector.post('/v1/batch', {
    batch: [
      { type: 'track', event: 'Order Completed', userId: 'anna@example.com', messageId: 'd1' },
      { type: 'track', event: 'Nameless', messageId: 'd2' },
    ],
  })
  await collector.post('/v1/track', '{"event":')
  const entries = await waitFor(async () => {
    const all = await newest()
    return all.length >= 3 ? all : undefined
  })
  expect(entries).toContainEqual(
    expect.objectContaining({ verdict: 'accepted', name: 'Order Completed', messageId: 'd1', user: 'an…om' }),
  )
  expect(entries).toContainEqual(
    expect.objectContaining({ verdict: 'refused', messageId: 'd2', code: 'invalid_event', field: 'userId' }),
  )
  expect(entries).toContainEqual(expect.objectContaining({ verdict: 'refused', code: 'malformed_json' }))
  expect(JSON.stringify(entries)).not.toContain('anna')
})

test('is for secret keys only', async () => {
  expect((await feed({})).status).toBe(401)
  expect((await feed({ authorization: `Bearer ${collector.key}` })).status).toBe(403)
  expect((await fetch(`${collector.url}/debugger/sources`)).status).toBe(401)
})

test('streams what comes, goes on after the last id seen, and ends when the collector stops', async () => {
  const other = await startCollector(world)
  const reply = await fetch(`${other.url}/api/v1/sources/${other.sourceId}/feed`, {
    headers: { authorization: `Bearer ${other.secretKey}`, 'last-event-id': '99999999999999-0' },
  })
  expect(reply.headers.get('content-type')).toContain('text/event-stream')
  await other.stop()
  expect(await reply.text()).toContain('retry:')

  const ids: string[] = []
  const abort = new AbortController()
  const stream = await fetch(`${collector.url}/api/v1/sources/${collector.sourceId}/feed`, {
    headers: {
      authorization: `Bearer ${collector.secretKey}`,
      'last-event-id': String((await newest()).at(-1)?.id),
    },
    signal: abort.signal,
  })
  await collector.post('/v1/track', { event: 'Streamed', userId: 'u', messageId: 's1' })
  const decoder = new TextDecoder()
  for await (const chunk of stream.body ?? []) {
    for (const match of decoder.decode(chunk).matchAll(/"messageId":"([^"]+)"/g)) ids.push(match[1] ?? '')
    if (ids.length > 0) break
  }
  abort.abort()
  expect(ids).toEqual(['s1'])
})

test('samples when there is too much, and says how much it left out', async () => {
  const batch = Array.from({ length: 500 }, (_, i) => ({
    type: 'track',
    event: 'Flood',
    userId: 'u',
    messageId: `f${i}`,
  }))
  await collector.post('/v1/batch', { batch })
  await waitFor(async () => (await newest()).some((entry) => entry.name === 'Flood'))
  // The next one that is shown, in the next second, says what was left out before it.
  const after = await waitFor(async () => {
    await collector.post('/v1/track', { event: 'After', userId: 'u' })
    return (await newest()).find((entry) => entry.skipped !== undefined)
  })
  expect(after.skipped).toBeGreaterThanOrEqual(450)
})

describe.skipIf(!hasChromium)('the page', () => {
  test('shows events live, filters them, and takes no other script', async () => {
    const browser = await launchChromium()
    try {
      const page = await browser.newPage({ viewport: { width: 1280, height: 760 } })
      const problems: string[] = []
      page.on('console', (message) => message.type() === 'error' && problems.push(message.text()))
      page.on('pageerror', (error) => problems.push(error.message))
      const opened = await page.goto(`${collector.url}/debugger`)
      expect(opened?.headers()['content-security-policy']).toContain("default-src 'none'")
      await page.fill('#key', collector.secretKey)
      await page.click('button[type=submit]')
      await page.waitForSelector('#state[data-state=live]')
      await collector.post('/v1/batch', {
        batch: [
          { type: 'page', name: 'Home', anonymousId: 'device-1234', messageId: 'p1' },
          { type: 'track', event: '<img src=x onerror=alert(1)>', userId: 'user-1234', messageId: 'p2' },
          { type: 'identify', messageId: 'p3' },
        ],
      })
      await page.waitForSelector('tr:has-text("p3")')
      expect(await page.locator('td.name', { hasText: '<img' }).count()).toBe(1)
      await page.click('[data-verdict=refused]')
      expect(await page.locator('tr.accepted:visible').count()).toBe(0)
      await page.fill('#filter', 'p3')
      expect(await page.locator('tbody tr:visible').count()).toBe(1)
      expect(problems).toEqual([])
    } finally {
      await browser.close()
    }
  })
})
