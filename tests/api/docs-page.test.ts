// Swagger UI in Chromium: the operations are there, one can be tried out, nothing is asked of another host and nothing
// breaks under its policy. Skipped loudly where there is no Chromium.
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { testWorld, type World } from '../support/world.ts'

const CHROMIUM = '/usr/bin/chromium'
const isThere = existsSync(CHROMIUM)
if (!isThere)
  process.stderr.write(`SKIPPED: the API documentation was not looked at, there is no ${CHROMIUM}\n`)

describe.skipIf(!isThere)('the API documentation in Chromium', () => {
  let world: World
  let api: ApiServer
  let profileDir: string
  let context: BrowserContext

  beforeAll(async () => {
    world = await testWorld()
    api = await startApi(world, { collector: true })
    profileDir = await mkdtemp(join(tmpdir(), 'millrace-chromium-'))
    context = await chromium.launchPersistentContext(profileDir, {
      executablePath: CHROMIUM,
      headless: true,
      viewport: { width: 1280, height: 900 },
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
  })
  afterAll(async () => {
    await context?.close()
    await api.close()
    await world.close()
    await rm(profileDir, { recursive: true, force: true })
  })

  test('it lists the operations by area and works under its own policy', async () => {
    const page = await context.newPage()
    const troubles: string[] = []
    page.on('console', (message) => {
      if (message.type() === 'error') troubles.push(message.text())
    })
    page.on('pageerror', (error) => troubles.push(error.message))
    page.on('request', (request) => {
      if (!request.url().startsWith(api.url) && !request.url().startsWith('data:'))
        troubles.push(request.url())
    })
    await page.goto(`${api.url}/api/docs`)
    await page.getByText('List users').waitFor()
    const dir = process.env.SCREENSHOTS
    if (dir !== undefined) await page.screenshot({ path: join(dir, 'api-docs.png') })
    await page.getByText('Make a key').click()
    await page.getByText('The answer is the only place where').waitFor()
    expect(troubles).toEqual([])
  })
})
