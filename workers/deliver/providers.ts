// Which provider each channel has: a configured real one, else the local sink that `start` runs, else none. Made when
// first used, so that a process pays only for the channels it sends on.
import type { Config } from '../../runtime/config.ts'
import type { Channel } from '../../schema/jobs.ts'
import { createEmailProvider } from './email.ts'
import type { Provider } from './provider.ts'
import { createPushProvider } from './push.ts'
import { createWebhookProvider } from './webhook.ts'

export type Providers = { of(channel: Channel): Promise<Provider | undefined>; close(): Promise<void> }

export function openProviders(config: Config): Providers {
  const made = new Map<Channel, Promise<Provider | undefined>>()
  return {
    of(channel) {
      let provider = made.get(channel)
      if (provider === undefined) {
        provider = make(channel, config)
        made.set(channel, provider)
      }
      return provider
    },
    async close() {
      for (const provider of await Promise.all(made.values())) await provider?.close()
    },
  }
}

async function make(channel: Channel, config: Config): Promise<Provider | undefined> {
  switch (channel) {
    case 'email':
      if (config.smtpUrl !== '')
        return createEmailProvider({ smtpUrl: config.smtpUrl, from: config.mailFrom, real: true })
      if (config.localSmtpPort === 0) return undefined
      return createEmailProvider({
        smtpUrl: `smtp://127.0.0.1:${config.localSmtpPort}`,
        from: config.mailFrom,
        real: false,
      })
    case 'push':
      if (config.fcmServiceAccount !== '')
        return createPushProvider({ kind: 'account', file: config.fcmServiceAccount })
      if (config.localPushPort === 0) return undefined
      return createPushProvider({ kind: 'sink', port: config.localPushPort, caFile: config.localPushCa })
    case 'webhook':
      if (config.webhookUrl !== '')
        return createWebhookProvider({ url: config.webhookUrl, secret: config.webhookSecret, real: true })
      if (config.localWebhookUrl === '') return undefined
      return createWebhookProvider({ url: config.localWebhookUrl, secret: config.webhookSecret, real: false })
    case 'sms':
      return undefined
  }
}
