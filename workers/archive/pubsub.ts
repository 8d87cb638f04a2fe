// Publishing to Google Pub/Sub: ordering key = the bucket of the sender's id (a key per user would defeat batching), the
// user as an attribute. Resolves when every message is confirmed. The SDK is loaded only here.
import { bucketOf } from '../../domain/buckets.ts'
import type { Config } from '../../runtime/config.ts'
import { archiveLine } from '../../schema/archive-record.ts'
import type { NormalEvent } from '../../schema/event.ts'

export type Publisher = { publish(events: NormalEvent[]): Promise<void>; close(): Promise<void> }

export async function openPublisher(config: Config): Promise<Publisher> {
  const { PubSub } = await import('@google-cloud/pubsub')
  const client = new PubSub({
    projectId: config.pubsubProject,
    ...(config.pubsubEmulatorHost === ''
      ? {}
      : { apiEndpoint: config.pubsubEmulatorHost, emulatorMode: true }),
  })
  const topic = client.topic(config.pubsubTopic, {
    messageOrdering: true,
    batching: { maxMessages: 500, maxMilliseconds: 20, maxBytes: 1024 * 1024 },
  })
  return {
    async publish(events) {
      const failed = new Set<string>()
      const results = await Promise.allSettled(
        events.map(async (event) => {
          const orderingKey = String(bucketOf(event.userId ?? event.anonymousId ?? ''))
          try {
            await topic.publishMessage({
              data: Buffer.from(archiveLine(event)),
              orderingKey,
              attributes: attributesOf(event),
            })
          } catch (error) {
            failed.add(orderingKey)
            throw error
          }
        }),
      )
      // A key that failed holds back everything behind it until it is resumed; the retried job sends it again.
      for (const key of failed) topic.resumePublishing(key)
      for (const result of results) if (result.status === 'rejected') throw result.reason
    },
    close: async () => {
      await topic.flush()
      await client.close()
    },
  }
}

function attributesOf(event: NormalEvent): Record<string, string> {
  return {
    messageId: event.messageId,
    type: event.type,
    sourceId: String(event.sourceId),
    ...(event.userId === undefined ? {} : { userId: event.userId }),
    ...(event.anonymousId === undefined ? {} : { anonymousId: event.anonymousId }),
  }
}
