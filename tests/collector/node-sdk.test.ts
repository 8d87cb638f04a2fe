// Segment's own Node SDK, with its host changed and nothing else.
import { Analytics } from '@segment/analytics-node'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { emptyIngest, startCollector, type TestCollector } from '../support/collector.ts'
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
beforeEach(() => emptyIngest(world))

test('every call of the SDK lands with its ids, times and context', async () => {
  const analytics = new Analytics({ writeKey: collector.key, host: collector.url, flushAt: 3 })
  const errors: unknown[] = []
  analytics.on('error', (error) => errors.push(error))
  const timestamp = new Date('2026-11-20T10:00:00.000Z')
  analytics.identify({ userId: 'u1', traits: { email: 'anna@example.com' }, timestamp })
  analytics.track({ userId: 'u1', event: 'Order Completed', properties: { revenue: 129.9 }, timestamp })
  analytics.page({ anonymousId: 'a1', name: 'Home', properties: { path: '/' } })
  analytics.screen({ anonymousId: 'a1', name: 'Start' })
  analytics.group({ userId: 'u1', groupId: 'g1', traits: { plan: 'pro' } })
  analytics.alias({ userId: 'u1', previousId: 'a1' })
  await analytics.closeAndFlush()
  expect(errors).toEqual([])

  const requests = await collector.landed()
  expect(
    requests.every((request) => request.sourceId === collector.sourceId && request.sentAt !== undefined),
  ).toBe(true)
  const messages = requests.flatMap((request) => request.messages)
  expect(messages.map((message) => message.type).sort()).toEqual([
    'alias',
    'group',
    'identify',
    'page',
    'screen',
    'track',
  ])
  expect(messages).toContainEqual(
    expect.objectContaining({
      type: 'track',
      event: 'Order Completed',
      userId: 'u1',
      properties: { revenue: 129.9 },
      timestamp: timestamp.toISOString(),
      messageId: expect.any(String),
      context: expect.objectContaining({
        library: expect.objectContaining({ name: '@segment/analytics-node' }),
      }),
    }),
  )
  expect(new Set(messages.map((message) => message.messageId)).size).toBe(6)
})

test('a wrong key fails the SDK’s calls instead of losing them silently', async () => {
  const analytics = new Analytics({ writeKey: 'wrong', host: collector.url, flushAt: 1, maxRetries: 0 })
  const failed = new Promise((resolve) => analytics.on('error', resolve))
  analytics.track({ userId: 'u1', event: 'E' })
  expect(await failed).toBeDefined()
  await analytics.closeAndFlush()
  expect(await collector.landed()).toEqual([])
})

test('when it is told to slow down, the SDK waits and everything lands once', async () => {
  const { key } = await collector.newKey({ rateLimitPerSecond: 2 })
  const analytics = new Analytics({ writeKey: key, host: collector.url, flushAt: 2, maxRetries: 5 })
  for (let i = 0; i < 6; i++) analytics.track({ userId: 'u1', event: 'E', messageId: `slow-${i}` })
  await analytics.closeAndFlush()
  const ids = (await collector.landed()).flatMap((request) =>
    request.messages.map((message) => message.messageId),
  )
  expect(ids.sort()).toEqual(['slow-0', 'slow-1', 'slow-2', 'slow-3', 'slow-4', 'slow-5'])
})
