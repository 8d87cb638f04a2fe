// Publishing to Google's own emulator: published − received = 0, and the order of each key is the order of the queue.
import { PubSub } from '@google-cloud/pubsub'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bucketOf } from '../../../domain/buckets.ts'
import { archive } from '../../../queues/pipeline.ts'
import type { ArchiveRecord } from '../../../schema/archive-record.ts'
import { archivePool } from '../../../workers/archive/pool.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { findPubsubEmulator, startPubsubEmulator } from '../../support/pubsub-emulator.ts'
import { archiveFiles } from '../../support/read-archive.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

const PROJECT = 'millrace-test'
const TOPIC = 'events'
type Received = { record: ArchiveRecord; orderingKey: string | undefined; attributes: Record<string, string> }

const jar = await findPubsubEmulator()

describe.skipIf(jar === undefined)('with Google’s Pub/Sub emulator', () => {
  let world: World
  let emulator: Awaited<ReturnType<typeof startPubsubEmulator>>
  let client: PubSub

  beforeAll(async () => {
    emulator = await startPubsubEmulator(jar ?? '')
    world = await testWorld({
      pubsubProject: PROJECT,
      pubsubTopic: TOPIC,
      pubsubEmulatorHost: emulator.host,
    })
    client = new PubSub({ projectId: PROJECT, apiEndpoint: emulator.host, emulatorMode: true })
  })
  afterAll(async () => {
    await world?.close()
    await client?.close()
    await emulator?.stop()
  })

  /** Everything published from now on. */
  async function subscribe(name: string): Promise<{ received: Received[]; close(): Promise<void> }> {
    const received: Received[] = []
    const [subscription] = await client.topic(TOPIC).createSubscription(name, { enableMessageOrdering: true })
    subscription.on('message', (message) => {
      const { data, orderingKey, attributes } = message
      received.push({ record: JSON.parse(data.toString()), orderingKey, attributes })
      message.ack()
    })
    return { received, close: () => subscription.close() }
  }

  test('a missing topic is made, and the first events wait for it', async () => {
    const pool = await world.run(archivePool)
    await world.sender.send(archive, [normalBatch([normalEvent({ userId: 'first' })])])
    await waitFor(async () => (await client.topic(TOPIC).exists())[0])
    await waitFor(() => world.depth.depthOf(archive.name).delayed > 0)
    await waitFor(() => world.depth.depthOf(archive.name).delayed === 0)
    expect(pool.dead).toEqual([])
    await pool.stop()
  })

  test('published − received = 0, in order for each key, with the user as an attribute', async () => {
    const { received, close } = await subscribe('all')
    const pool = await world.run(archivePool)
    const people = 50
    const events = Array.from({ length: 3000 }, (_, i) =>
      normalEvent({
        ...(i % 3 === 0 ? { anonymousId: `a-${i % people}` } : { userId: `u-${i % people}` }),
        properties: `{"n":${i}}`,
        receivedAt: Date.UTC(2026, 10, 21),
      }),
    )
    for (let from = 0; from < events.length; from += 100) {
      await world.sender.send(archive, [normalBatch(events.slice(from, from + 100))])
    }
    await waitFor(() => new Set(received.map(({ record }) => record.rowKey)).size === events.length)
    const published = new Set(events.map((event) => event.messageId))
    const arrived = new Set(received.map(({ record }) => record.rowKey))
    const missing = [...published].filter((key) => !arrived.has(key))
    console.log(`published ${published.size} − received ${arrived.size} = ${missing.length}`)
    expect(missing).toEqual([])
    const last = new Map<string, number>()
    const seen = new Set<string>()
    for (const { record, orderingKey, attributes } of received) {
      // What is not acknowledged in time comes again, with all of its key that came after it.
      if (seen.has(record.rowKey)) continue
      seen.add(record.rowKey)
      const n = Number(record.properties?.n)
      const key = orderingKey ?? ''
      expect(n, 'order of a key').toBeGreaterThan(last.get(key) ?? -1)
      last.set(key, n)
      expect(key).toBe(String(bucketOf(record.userId ?? record.anonymousId ?? '')))
      expect(attributes).toEqual({
        messageId: record.messageId,
        type: 'track',
        sourceId: '1',
        ...(record.userId === undefined ? {} : { userId: record.userId }),
      })
    }
    expect(await archiveFiles(world.config.dataDir)).toEqual([])
    await pool.stop()
    await close()
  })

  test('while Pub/Sub does not take them jobs wait without spending attempts, and come in order afterwards', async () => {
    const pool = await world.run(archivePool)
    const event = (n: number) => normalEvent({ userId: 'same', properties: `{"n":${n}}` })
    const before = await subscribe('before')
    await world.sender.send(archive, [normalBatch([event(0)])])
    await waitFor(() => before.received.length === 1)
    await before.close()
    await client.topic(TOPIC).delete()
    await world.sender.send(archive, [normalBatch([event(1), event(2)])])
    await waitFor(() => world.depth.depthOf(archive.name).delayed > 0)
    const after = await subscribe('after')
    await waitFor(() => new Set(after.received.map(({ record }) => record.rowKey)).size === 2)
    // The key failed once: it publishes again.
    expect(after.received.map(({ record }) => record.properties?.n)).toEqual([1, 2])
    expect(world.depth.depthOf(archive.name).failed).toBe(0)
    expect(pool.dead).toEqual([])
    await pool.stop()
    await after.close()
  })
})
