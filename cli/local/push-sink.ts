// A local server that speaks FCM's HTTP v1 over TLS under its own certificate authority, so that firebase-admin's real
// code path runs: `POST /v1/projects/<project>/messages:send`. Tokens that start with `unregistered`, `quota` or
// `unavailable` are answered the way Google answers them. Faults: `reject` = 400, `later` = 503, `cut` = kept, no answer.
import type { IncomingMessage } from 'node:http'
import { createServer } from 'node:https'
import { createFaults, type Faults } from './faults.ts'
import { listenLocally, readBody } from './http-sink.ts'
import { pushCertificates } from './push-certificates.ts'
import { openSinkLog, type SinkLog } from './sink-log.ts'

export type PushSink = { port: number; caFile: string; log: SinkLog; faults: Faults; stop(): Promise<void> }

type Answer = { status: number; body: unknown }

/** Port 0 = any free port; `dir` keeps the certificates, `file` one JSON line a message. */
export async function startPushSink(options: { dir: string; file: string; port: number }): Promise<PushSink> {
  const tls = await pushCertificates(options.dir)
  const log = await openSinkLog(options.file)
  const faults = createFaults()
  let number = log.count()

  const answerTo = async (request: IncomingMessage): Promise<Answer | 'cut'> => {
    const body = await readBody(request)
    const project = /^\/v1\/projects\/([^/]+)\/messages:send$/.exec(request.url ?? '')?.[1]
    if (request.method !== 'POST' || project === undefined) return fcmError('NOT_FOUND', 'UNSPECIFIED_ERROR')
    if (!/^Bearer .+/.test(request.headers.authorization ?? ''))
      return fcmError('UNAUTHENTICATED', 'THIRD_PARTY_AUTH_ERROR')
    const message = body === undefined ? undefined : readMessage(body)
    if (message === undefined) return fcmError('INVALID_ARGUMENT', 'INVALID_ARGUMENT')
    const fault = await faults.next()
    const refusal = refusalOf(message.token)
    if (refusal !== undefined) return refusal
    if (fault === 'reject') return fcmError('INVALID_ARGUMENT', 'INVALID_ARGUMENT')
    if (fault === 'later') return fcmError('UNAVAILABLE', 'UNAVAILABLE')
    number += 1
    const name = `projects/${project}/messages/${number}`
    const { token, ...content } = message
    await log.append({ at: new Date().toISOString(), id: name, to: token, ...content })
    return fault ?? { status: 200, body: { name } }
  }
  const server = createServer({ key: tls.key, cert: tls.cert }, (request, response) => {
    answerTo(request).then(
      (answer) => {
        if (answer === 'cut') return request.socket.destroy()
        response.writeHead(answer.status, {
          'content-type': 'application/json',
          ...(answer.status === 429 ? { 'retry-after': '1' } : {}),
        })
        response.end(JSON.stringify(answer.body))
      },
      () => request.socket.destroy(),
    )
  })
  const listening = await listenLocally(server, options.port)
  return {
    port: listening.port,
    caFile: tls.caFile,
    log,
    faults,
    async stop() {
      faults.resume()
      await listening.stop()
      await log.close()
    },
  }
}

type FcmMessage = { token: string; title: string; body: string; data: Record<string, unknown> }

function readMessage(body: Buffer): FcmMessage | undefined {
  try {
    const { message } = JSON.parse(body.toString('utf8'))
    if (typeof message?.token !== 'string') return undefined
    return {
      token: message.token,
      title: String(message.notification?.title ?? ''),
      body: String(message.notification?.body ?? ''),
      data: message.data ?? {},
    }
  } catch {
    return undefined
  }
}

/** What Google says of this token, by how it starts. */
function refusalOf(token: string): Answer | undefined {
  if (token.startsWith('unregistered')) return fcmError('NOT_FOUND', 'UNREGISTERED')
  if (token.startsWith('quota')) return fcmError('RESOURCE_EXHAUSTED', 'QUOTA_EXCEEDED')
  if (token.startsWith('unavailable')) return fcmError('UNAVAILABLE', 'UNAVAILABLE')
  return undefined
}

/** Google's canonical status names and their HTTP codes. */
const HTTP_STATUS = {
  INVALID_ARGUMENT: 400,
  UNAUTHENTICATED: 401,
  NOT_FOUND: 404,
  RESOURCE_EXHAUSTED: 429,
  UNAVAILABLE: 503,
} as const

function fcmError(status: keyof typeof HTTP_STATUS, errorCode: string): Answer {
  const code = HTTP_STATUS[status]
  const details = [{ '@type': 'type.googleapis.com/google.firebase.fcm.v1.FcmError', errorCode }]
  return { status: code, body: { error: { code, status, message: status, details } } }
}
