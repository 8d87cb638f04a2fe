// Publishing to Google Pub/Sub: ordering key = the bucket of the sender's id (a key per user would defeat batching), the
// user as an attribute. `put` resolves when every message is confirmed. The SDK is loaded only here.
//
// A key on which a publish fails holds back everything behind it until it is resumed. Messages that Pub/Sub refuses for
// good (INVALID_ARGUMENT) take their whole request down with them, so the failed ones are sent again one by one: those
// that fail alone go to failed_events.
import type { Topic } from '@google-cloud/pubsub'
import { archiveLine } from '../../domain/archive-line.ts'
import { bucketOf } from '../../domain/buckets.ts'
import type { Config } from '../../runtime/config.ts'
import type { NormalBatch, NormalEvent } from '../../schema/event.ts'
import { recordFailedEvents } from '../../store/failed-events.ts'
import type { ArchiveDeps, Sink } from './sink.ts'

/** gRPC status codes. */
const INVALID_ARGUMENT = 3
const NOT_FOUND = 5

/** One round of publishing gives up well before the pool's time limit: then the job is handed back. */
const GIVE_UP_MS = 20_000
/** Attribute values may have this many bytes. */
const MAX_ATTRIBUTE_BYTES = 1024

type Failure = { event: NormalEvent; error: unknown }

export async function openPublisher(deps: ArchiveDeps): Promise<Sink> {
  const { client, topic } = await connect(deps.config)
  return {
    async put(batches) {
      const failures = await publishAll(topic, eventsOf(batches))
      if (failures.length === 0) return
      const lasting = failures.find(({ error }) => statusOf(error) !== INVALID_ARGUMENT)
      if (lasting === undefined) return publishOneByOne(topic, failures, deps)
      if (statusOf(lasting.error) === NOT_FOUND) await topic.create().catch(() => {})
      throw lasting.error
    },
    async close() {
      await topic.flush()
      await client.close()
    },
  }
}

async function connect(config: Config) {
  const { PubSub } = await import('@google-cloud/pubsub')
  const client = new PubSub({
    projectId: config.pubsubProject,
    ...(config.pubsubEmulatorHost === ''
      ? {}
      : { apiEndpoint: config.pubsubEmulatorHost, emulatorMode: true }),
  })
  const topic = client.topic(config.pubsubTopic, {
    messageOrdering: true,
    batching: { maxMessages: 500, maxMilliseconds: 10, maxBytes: 1024 * 1024 },
    gaxOpts: { retry: { backoffSettings: BACKOFF } },
  })
  return { client, topic }
}

const BACKOFF = {
  initialRetryDelayMillis: 100,
  retryDelayMultiplier: 2,
  maxRetryDelayMillis: 5000,
  initialRpcTimeoutMillis: 5000,
  rpcTimeoutMultiplier: 1,
  maxRpcTimeoutMillis: 5000,
  totalTimeoutMillis: GIVE_UP_MS,
}

/** Publishes in the given order (the client keeps it a key) and returns what was not confirmed; its keys are resumed. */
async function publishAll(topic: Topic, events: NormalEvent[]): Promise<Failure[]> {
  const results = await Promise.allSettled(events.map((event) => topic.publishMessage(messageOf(event))))
  const failures: Failure[] = []
  results.forEach((result, i) => {
    const event = events[i]
    if (result.status === 'rejected' && event !== undefined) failures.push({ event, error: result.reason })
  })
  for (const key of new Set(failures.map(({ event }) => orderingKeyOf(event)))) topic.resumePublishing(key)
  return failures
}

async function publishOneByOne(topic: Topic, failures: Failure[], deps: ArchiveDeps): Promise<void> {
  for (const { event } of failures) {
    const [failure] = await publishAll(topic, [event])
    if (failure === undefined) continue
    if (statusOf(failure.error) !== INVALID_ARGUMENT) throw failure.error
    const again: NormalBatch = { v: 1, batchId: `archive-${event.hash.replace('-', 'n')}`, events: [event] }
    await recordFailedEvents(deps.sql, [
      {
        failedKey: `archive-${event.messageId}-${event.hash}`,
        stage: 'archive',
        code: 'provider_rejected',
        reason: 'Pub/Sub refused the message as invalid',
        sourceId: event.sourceId,
        messageId: event.messageId,
        payload: JSON.stringify(again),
      },
    ])
    deps.metrics.events.inc({ stage: 'archive', verdict: 'failed' })
  }
}

function messageOf(event: NormalEvent) {
  const attributes: Record<string, string> = {
    messageId: event.messageId,
    type: event.type,
    sourceId: String(event.sourceId),
  }
  if (event.userId !== undefined && Buffer.byteLength(event.userId) <= MAX_ATTRIBUTE_BYTES) {
    attributes.userId = event.userId
  }
  return { data: Buffer.from(archiveLine(event)), orderingKey: orderingKeyOf(event), attributes }
}

function orderingKeyOf(event: NormalEvent): string {
  return String(bucketOf(event.userId ?? event.anonymousId ?? ''))
}

function eventsOf(batches: NormalBatch[]): NormalEvent[] {
  return batches.flatMap((batch) => batch.events)
}

function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'number' ? error.code : undefined
}
