// Push by Firebase Cloud Messaging: firebase-admin's real code path, also against the local sink, which it reaches
// through an agent that trusts the sink's own certificate authority. Loaded only where push is used.
import { readFileSync } from 'node:fs'
import { Agent } from 'node:https'
import { connect } from 'node:tls'
import { errorCodeOf } from '../../runtime/errors.ts'
import type { Provider, SendOutcome } from './provider.ts'

export type PushTarget = { kind: 'account'; file: string } | { kind: 'sink'; port: number; caFile: string }

export async function createPushProvider(target: PushTarget): Promise<Provider> {
  const { cert, deleteApp, initializeApp } = await import('firebase-admin/app')
  const { getMessaging } = await import('firebase-admin/messaging')
  const app =
    target.kind === 'account'
      ? initializeApp({ credential: cert(target.file) }, `millrace-${process.pid}-${Date.now()}`)
      : initializeApp(
          {
            projectId: 'millrace-local',
            credential: { getAccessToken: async () => ({ access_token: 'local', expires_in: 3600 }) },
            httpAgent: sinkAgent(target.port, target.caFile),
          },
          `millrace-${process.pid}-${target.port}-${Date.now()}`,
        )
  const messaging = getMessaging(app)
  forbidRetries(messaging)
  return {
    real: target.kind === 'account',
    async send(message) {
      try {
        const id = await messaging.send({
          token: message.to,
          notification: { title: message.subject, body: message.text },
          data: Object.fromEntries(Object.entries(message.data).map(([key, value]) => [key, String(value)])),
        })
        return { kind: 'sent', providerMessageId: id }
      } catch (error) {
        return outcomeOf(error)
      }
    },
    close: () => deleteApp(app),
  }
}

/**
 * The SDK re-sends by itself when a connection breaks, also after the message was taken: that would be a second push
 * for one delivery. Retrying is the queue's work, with the outcome recorded in between.
 */
function forbidRetries(messaging: object): void {
  const handler: unknown = Reflect.get(messaging, 'messagingRequestHandler')
  const client: unknown =
    typeof handler === 'object' && handler !== null ? Reflect.get(handler, 'httpClient') : undefined
  if (typeof client !== 'object' || client === null || !('retry' in client)) {
    throw new Error('this version of firebase-admin hides its retry setting: check workers/deliver/push.ts')
  }
  Reflect.set(client, 'retry', undefined)
}

function sinkAgent(port: number, caFile: string): Agent {
  const agent = new Agent({ keepAlive: true })
  const ca = readFileSync(caFile, 'utf8')
  Object.assign(agent, {
    createConnection: () => connect({ host: '127.0.0.1', port, servername: 'fcm.googleapis.com', ca }),
  })
  return agent
}

const REFUSED = new Set([
  'messaging/invalid-argument',
  'messaging/invalid-recipient',
  'messaging/invalid-registration-token',
  'messaging/invalid-payload',
  'messaging/payload-size-limit-exceeded',
  'messaging/mismatched-credential',
  'messaging/third-party-auth-error',
  'messaging/authentication-error',
])
const LATER = new Set([
  'messaging/server-unavailable',
  'messaging/quota-exceeded',
  'messaging/message-rate-exceeded',
  'messaging/device-message-rate-exceeded',
  'messaging/internal-error',
  'app/invalid-credential',
])

function outcomeOf(error: unknown): SendOutcome {
  const code = errorCodeOf(error)
  if (code === 'messaging/registration-token-not-registered')
    return { kind: 'refused', reason: code, suppress: true }
  if (REFUSED.has(code)) return { kind: 'refused', reason: code }
  if (LATER.has(code)) return { kind: 'later', reason: code }
  const text = error instanceof Error ? error.message : ''
  if (/ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH/.test(text))
    return { kind: 'later', reason: 'the push service is not reachable' }
  return { kind: 'unknown', reason: `no clear answer from the push service (${code})` }
}
