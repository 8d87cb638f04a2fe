// All local sinks together: where messages go until a real provider is configured.
import { join } from 'node:path'
import { type Outbox, startOutbox } from './outbox.ts'
import { type PushSink, startPushSink } from './push-sink.ts'
import { type SmtpSink, startSmtpSink } from './smtp-sink.ts'
import { startWebhookSink, type WebhookSink } from './webhook-sink.ts'

export type Sinks = {
  email: SmtpSink
  push: PushSink
  webhook: WebhookSink
  outbox: Outbox
  counts(): { email: number; push: number; webhook: number }
  stop(): Promise<void>
}

/** Starts SMTP, push and webhook sinks on free ports and the outbox page on `outboxPort`; files lie under `dir`. */
export async function startSinks(options: {
  dir: string
  outboxPort: number
  webhookSecret: string
}): Promise<Sinks> {
  const file = (name: string) => join(options.dir, `${name}.jsonl`)
  const email = await startSmtpSink({ file: file('email'), port: 0 })
  const push = await startPushSink({ dir: options.dir, file: file('push'), port: 0 })
  const webhook = await startWebhookSink({ file: file('webhook'), port: 0, secret: options.webhookSecret })
  const outbox = await startOutbox({
    port: options.outboxPort,
    logs: { email: email.log, push: push.log, webhook: webhook.log },
  })
  return {
    email,
    push,
    webhook,
    outbox,
    counts: () => ({ email: email.log.count(), push: push.log.count(), webhook: webhook.log.count() }),
    async stop() {
      await outbox.stop()
      await Promise.all([email.stop(), push.stop(), webhook.stop()])
    },
  }
}
