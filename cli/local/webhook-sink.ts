// A local receiver of webhooks: checks the Standard Webhooks signature (https://www.standardwebhooks.com) and keeps what
// is genuine. Faults for tests: `unavailable` (503), `gone` (410), `cut` (kept, no answer).
import { createHmac, timingSafeEqual } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Fault, nextFault, openSinkLog, type SinkLog } from './sink-log.ts'

export type WebhookSink = { url: string; port: number; log: SinkLog; faults: Fault[]; stop(): Promise<void> }

const MAX_BODY_BYTES = 1_000_000
const TOLERANCE_S = 300

/** `secret` is `whsec_<base64>`. */
export async function startWebhookSink(options: {
  file: string
  port: number
  secret: string
}): Promise<WebhookSink> {
  const log = openSinkLog(options.file)
  const faults: Fault[] = []
  const secret = Buffer.from(options.secret.replace(/^whsec_/, ''), 'base64')
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    let bytes = 0
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > MAX_BODY_BYTES) request.destroy()
      else chunks.push(chunk)
    })
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      const header = (name: string) => String(request.headers[name] ?? '')
      const id = header('webhook-id')
      const timestamp = header('webhook-timestamp')
      if (!isGenuine(secret, { id, timestamp, signatures: header('webhook-signature'), body })) {
        response.writeHead(401).end()
        return
      }
      const fault = nextFault(faults)
      if (fault === 'unavailable') return void response.writeHead(503).end()
      if (fault === 'gone') return void response.writeHead(410).end()
      log.append({
        at: new Date().toISOString(),
        id,
        to: request.url ?? '/',
        body: JSON.parse(body.toString('utf8')),
      })
      if (fault === 'cut') return void request.socket.destroy()
      response.writeHead(204).end()
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, '127.0.0.1', () => resolve())
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/webhook`,
    port,
    log,
    faults,
    async stop() {
      server.closeAllConnections()
      await new Promise<void>((resolve) => server.close(() => resolve()))
      log.close()
    },
  }
}

function isGenuine(
  secret: Buffer,
  sent: { id: string; timestamp: string; signatures: string; body: Buffer },
): boolean {
  if (sent.id === '' || Math.abs(Date.now() / 1000 - Number(sent.timestamp)) > TOLERANCE_S) return false
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
