// The dashboard as a person sees it, in Chromium: log in, list of queues, one queue, one job, search. Skipped loudly
// where there is no Chromium. `SCREENSHOTS=<folder>` keeps a picture of each page.
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deliver, ingest, persist } from '../../queues/pipeline.ts'
import { ADMIN_PASSWORD, openDashboard } from '../support/dashboard-client.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { testWorld, type World } from '../support/world.ts'

const CHROMIUM = '/usr/bin/chromium'
const SECRET_MARK = 'person@secret.example'
const isThere = existsSync(CHROMIUM)
if (!isThere) process.stderr.write(`SKIPPED: the dashboard was not looked at, there is no ${CHROMIUM}\n`)

describe.skipIf(!isThere)('the dashboard in Chromium', () => {
  let world: World
  let opened: Awaited<ReturnType<typeof openDashboard>>
  let profileDir: string
  let context: BrowserContext
  let page: Page
  const troubles: string[] = []
  const foreign: string[] = []

  beforeAll(async () => {
    world = await testWorld({ dashboardPort: 0, secret: 'test secret', adminPassword: ADMIN_PASSWORD })
    opened = await openDashboard(world)
    const events = Array.from({ length: 120 }, (_, i) =>
      normalEvent({ messageId: `m-${i}`, userId: SECRET_MARK }),
    )
    await world.sender.send(persist, [
      normalBatch(events, 'batch-seen-1'),
      normalBatch([normalEvent({ userId: 'u' })]),
    ])
    await world.sender.send(ingest, [
      {
        v: 1,
        batchId: 'batch-seen-2',
        requests: [
          {
            sourceId: 1,
            receivedAt: Date.now(),
            messages: [{ type: 'identify', messageId: 'm-i', userId: SECRET_MARK }],
          },
        ],
      },
    ])
    await world.sender.send(deliver, [
      { v: 1, channel: 'email', deliveryKey: 'c1-s1', campaignId: 1, profileId: 7, changeId: 1 },
    ])
    profileDir = await mkdtemp(join(tmpdir(), 'millrace-chromium-'))
    context = await chromium.launchPersistentContext(profileDir, {
      executablePath: CHROMIUM,
      headless: true,
      viewport: { width: 1280, height: 800 },
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    })
    page = await context.newPage()
    page.on('console', (message) => {
      if (message.type() === 'error') troubles.push(message.text())
    })
    page.on('pageerror', (error) => troubles.push(error.message))
    page.on('request', (request) => {
      if (!request.url().startsWith(opened.origin) && !request.url().startsWith('data:'))
        foreign.push(request.url())
    })
  })
  afterAll(async () => {
    await context?.close()
    await opened.dashboard.stop()
    await world.close()
    await rm(profileDir, { recursive: true, force: true })
  })

  const shot = async (name: string) => {
    const dir = process.env.SCREENSHOTS
    if (dir !== undefined) await page.screenshot({ path: join(dir, `${name}.png`) })
  }

  test('a wrong password is said on the page, the right one leads to the queues', async () => {
    await page.goto(opened.dashboard.url)
    await page.getByRole('heading', { name: 'Millrace' }).waitFor()
    await shot('login')
    await page.getByLabel('Password').fill('wrong password')
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.getByRole('alert').waitFor()
    expect(await page.getByRole('alert').textContent()).toContain('wrong')
    await shot('login-wrong')
    troubles.length = 0
    await page.getByLabel('Password').fill(ADMIN_PASSWORD)
    await page.getByRole('button', { name: 'Log in' }).click()
    await page.waitForURL('**/admin/queues')
  })

  test('the list shows the queues with their jobs', async () => {
    await page.getByText('persist', { exact: true }).first().waitFor()
    await page.getByText('Loading...').waitFor({ state: 'hidden' })
    await shot('queues')
    const text = await page.locator('body').textContent()
    for (const name of ['ingest', 'persist', 'archive', 'segment-00', 'deliver-email', 'schedule']) {
      expect(text).toContain(name)
    }
  })

  test('a queue shows its jobs without personal data', async () => {
    await page.goto(`${opened.origin}/admin/queues/queue/persist`)
    await page.getByText('batch-seen-1').first().waitFor()
    await shot('queue')
    expect(await page.content()).not.toContain(SECRET_MARK)
  })

  test('one job shows what it holds: counts and message ids', async () => {
    await page.goto(`${opened.origin}/admin/queues/queue/persist/pe-batch-seen-1`)
    await page.getByText('messageIds').first().waitFor()
    await shot('job')
    expect(await page.content()).not.toContain(SECRET_MARK)
  })

  test('a job is found by message id and the link leads to it', async () => {
    await page.goto(`${opened.origin}/search`)
    await page.getByLabel('What to look for').fill('m-77')
    await page.getByRole('button', { name: 'Find' }).click()
    await page.getByRole('heading', { name: 'In the queues' }).waitFor()
    await shot('search')
    await page.getByRole('link', { name: 'pe-batch-seen-1' }).click()
    await page.getByText('messageIds').first().waitFor()
  })

  test('no page of it had an error or asked another host', () => {
    expect(troubles).toEqual([])
    expect(foreign).toEqual([])
  })

  test('signing out closes the door', async () => {
    await page.goto(`${opened.origin}/search`)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.waitForURL('**/login')
    await page.goto(opened.dashboard.url)
    expect(page.url()).toContain('/login')
  })
})
