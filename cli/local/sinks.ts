// All local sinks together: where messages go until a real provider is configured.
import { join } from 'node:path'
import type { Fault } from './faults.ts'
import { type Outbox, startOutbox } from './outbox.ts'
import { type PushSink, startPushSink } from './push-sink.ts'
import type { SinkEntry } from './sink-log.ts'
import { type SmtpSink, startSmtpSink } from './smtp-sink.ts'
import { startWebhookSink, type WebhookSink } from './webhook-sink.ts'

export type Channel = 'email' | 'push' | 'webhook'

export type Sinks = {
  email: SmtpSink
  push: PushSink
  webhook: WebhookSink
  outbox: Outbox
  counts(): Record<Channel, number>
  /** The last messages of a channel, newest first. */
  list(channel: Channel): SinkEntry[]
  /** For tests: the next `count` messages of a channel are refused, put off or cut. */
  failNext(channel: Channel, count: number, how: Fault): void
  /** For tests: the channel gives no answers until `resume`. */
  pause(channel: Channel): void
  resume(channel: Channel): void
  stop(): Promise<void>
}

/** Starts SMTP, push and webhook sinks on free ports and the outbox page on `outboxPort`; files lie under `dir`. */
export async function startSinks(options: {
  dir: string
  outboxPort: number
  webhookSecret: string
}): Promise<Sinks> {
  const { dir } = options
  const file = (channel: Channel) => join(dir, `${channel}.jsonl`)
  const started: { stop(): Promise<void> }[] = []
  const keep = <T extends { stop(): Promise<void> }>(sink: T): T => {
    started.push(sink)
    return sink
  }
  const stop = async () => {
    await Promise.all(started.splice(0).map((sink) => sink.stop()))
  }
  try {
    const email = keep(await startSmtpSink({ file: file('email'), port: 0 }))
    const push = keep(await startPushSink({ dir, file: file('push'), port: 0 }))
    const webhook = keep(
      await startWebhookSink({ file: file('webhook'), port: 0, secret: options.webhookSecret }),
    )
    const channels = { email, push, webhook }
    const logs = { email: email.log, push: push.log, webhook: webhook.log }
    const outbox = keep(await startOutbox({ port: options.outboxPort, logs }))
    return {
      ...channels,
      outbox,
      counts: () => ({ email: logs.email.count(), push: logs.push.count(), webhook: logs.webhook.count() }),
      list: (channel) => logs[channel].recent(),
      failNext: (channel, count, how) => channels[channel].faults.failNext(count, how),
      pause: (channel) => channels[channel].faults.pause(),
      resume: (channel) => channels[channel].faults.resume(),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}
