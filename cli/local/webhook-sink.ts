// A local receiver of webhooks: checks the Standard Webhooks signature (https://www.standardwebhooks.com) and keeps what
// is genuine. Faults: `reject` = 410, `later` = 503, `cut` = kept, then the connection drops without an answer.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import { createFaults, type Faults } from './faults.ts'
import { listenLocally, readBody } from './http-sink.ts'
import { openSinkLog, type SinkLog } from './sink-log.ts'

export type WebhookSink = { url: string; port: number; log: SinkLog; faults: Faults; stop(): Promise<void> }

/** How far a timestamp may be off, as the standard proposes: older ones are replays. */
const TOLERANCE_S = 300

/** `secret` is `whsec_<base64>`; port 0 = any free port; `file` keeps one JSON line a webhook. */
export async function startWebhookSink(options: {
  file: string
  port: number
  secret: string
}): Promise<WebhookSink> {
  const log = await openSinkLog(options.file)
  const faults = createFaults()
  const secret = Buffer.from(options.secret.replace(/^whsec_/, ''), 'base64')

  const statusOf = async (request: IncomingMessage): Promise<number | 'cut'> => {
    if (request.method !== 'POST') return 405
    const body = await readBody(request)
    if (body === undefined) return 413
    const header = (name: string) => String(request.headers[name] ?? '')
    const id = header('webhook-id')
    const timestamp = header('webhook-timestamp')
    if (!isGenuine(secret, { id, timestamp, signatures: header('webhook-signature'), body })) return 401
    const fault = await faults.next()
    if (fault === 'reject') return 410
    if (fault === 'later') return 503
    await log.append({
      at: new Date().toISOString(),
      id,
      to: request.url ?? '/',
      body: decode(body),
    })
    return fault ?? 204
  }
  const server = createServer((request, response) => {
    statusOf(request).then(
      (status) => {
        if (status === 'cut') request.socket.destroy()
        else response.writeHead(status).end()
      },
      () => request.socket.destroy(),
    )
  })
  const listening = await listenLocally(server, options.port)
  return {
    url: `http://127.0.0.1:${listening.port}/webhook`,
    port: listening.port,
    log,
    faults,
    async stop() {
      faults.resume()
      await listening.stop()
      await log.close()
    },
  }
}

/** What was signed need not be JSON; then it is kept as text. */
function decode(body: Buffer): unknown {
  const text = body.toString('utf8')
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function isGenuine(
  secret: Buffer,
  sent: { id: string; timestamp: string; signatures: string; body: Buffer },
): boolean {
  const ageS = Date.now() / 1000 - Number(sent.timestamp)
  if (sent.id === '' || !(Math.abs(ageS) <= TOLERANCE_S)) return false
  const expected = createHmac('sha256', secret)
    .update(`${sent.id}.${sent.timestamp}.`)
    .update(sent.body)
    .digest()
  return sent.signatures.split(' ').some((signature) => {
    const [version, text = ''] = signature.split(',')
    const given = Buffer.from(text, 'base64')
    return version === 'v1' && given.length === expected.length && timingSafeEqual(given, expected)
  })
}
