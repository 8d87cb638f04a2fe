// Segment's own browser SDK in Chromium, from a page of another origin, with its host changed and nothing else.
import { readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hasChromium, launchChromium } from '../support/chromium.ts'
import { emptyIngest, startCollector, type TestCollector } from '../support/collector.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

const SDK = createRequire(import.meta.url)
  .resolve('@segment/analytics-next')
  .replace(/dist\/.*$/, 'dist/umd/index.js')

describe.skipIf(!hasChromium)('the browser SDK', () => {
  let world: World
  let collector: TestCollector
  let shop: Server
  let browser: Browser
  let page: Page
  const called: string[] = []

  beforeAll(async () => {
    world = await testWorld()
    collector = await startCollector(world)
    const sdk = await readFile(SDK)
    shop = createServer((request, reply) => {
      const isScript = request.url === '/sdk.js'
      reply.setHeader('content-type', isScript ? 'text/javascript' : 'text/html')
      reply.end(isScript ? sdk : '<!doctype html><title>Shop</title><script src="/sdk.js"></script>')
    }).listen(0, '127.0.0.1')
    browser = await launchChromium()
  })
  afterAll(async () => {
    await browser?.close()
    shop?.close()
    await collector?.stop()
    await world?.close()
  })
  beforeEach(async () => {
    await emptyIngest(world)
    called.length = 0
    const context = await browser.newContext()
    page = await context.newPage()
    page.on('request', (request) => called.push(`${request.method()} ${request.url()}`))
    await page.goto(`http://127.0.0.1:${(shop.address() as AddressInfo).port}/`)
  })

  /** Runs `calls` in the page with `analytics` loaded; `options` as of AnalyticsBrowser.load. */
  const run = (key: string, options: object, calls: string) =>
    page.evaluate(
      `(async () => {
        const [analytics] = await AnalyticsNext.AnalyticsBrowser.load(
          { writeKey: ${JSON.stringify(key)}, cdnURL: ${JSON.stringify(collector.url)} },
          ${JSON.stringify(options)},
        )
        ${calls}
      })()`,
    )
  const messages = async () => (await collector.landed()).flatMap((request) => request.messages)
  const host = () => ({ 'Segment.io': { apiHost: `127.0.0.1:${collector.port}/v1`, protocol: 'http' } })

  test('every call lands, each on its short path', async () => {
    await run(
      collector.key,
      { integrations: host() },
      `await analytics.page('Home')
       await analytics.track('Product Viewed', { product_id: 'p1', price: 9.5 })
       await analytics.identify('u1', { email: 'anna@example.com' })
       await analytics.group('g1', { plan: 'pro' })
       await analytics.screen('Start')
       await analytics.alias('u2', 'u1')`,
    )
    const landed = await waitFor(async () => {
      const all = await messages()
      return all.length >= 6 ? all : undefined
    })
    expect(landed.map((message) => message.type).sort()).toEqual([
      'alias',
      'group',
      'identify',
      'page',
      'screen',
      'track',
    ])
    expect(landed).toContainEqual(
      expect.objectContaining({
        type: 'track',
        event: 'Product Viewed',
        properties: { product_id: 'p1', price: 9.5 },
        anonymousId: expect.any(String),
        messageId: expect.any(String),
        context: expect.objectContaining({ page: expect.objectContaining({ title: 'Shop' }) }),
      }),
    )
    for (const path of ['t', 'i', 'p', 'g', 's', 'a']) {
      expect(called).toContain(`POST ${collector.url}/v1/${path}`)
    }
    expect(called).toContain(`GET ${collector.url}/v1/projects/${collector.key}/settings`)
    expect(called.filter((call) => !call.includes('127.0.0.1'))).toEqual([])
    expect(JSON.stringify(landed)).not.toContain(collector.key)
  })

  test('the settings alone point it here, when only cdnURL is set', async () => {
    await run(collector.key, {}, `await analytics.track('Settings Only')`)
    await waitFor(async () => (await messages()).some((message) => message.event === 'Settings Only'))
  })

  test('in batches', async () => {
    const deliveryStrategy = { strategy: 'batching', config: { size: 3, timeout: 200 } }
    const integrations = { 'Segment.io': { ...host()['Segment.io'], deliveryStrategy } }
    await run(collector.key, { integrations }, `for (let i = 0; i < 3; i++) analytics.track('Batched ' + i)`)
    await waitFor(async () => (await messages()).length === 3)
    expect(called).toContain(`POST ${collector.url}/v1/b`)
  })

  test('when it is told to slow down it reads Retry-After, waits, and everything lands', async () => {
    const { key } = await collector.newKey({ rateLimitPerSecond: 1 })
    await run(key, { integrations: host() }, `for (let i = 0; i < 3; i++) analytics.track('Slow ' + i)`)
    await waitFor(async () => new Set((await messages()).map((message) => message.event)).size === 3, {
      timeoutMs: 25_000,
      what: 'all three events',
    })
  })
})
