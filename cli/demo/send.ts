// A small client of the collector, as an SDK would be: batches over keep-alive HTTP, a few at a time, retrying what the
// collector asks to retry with the same message ids. Used by the demo and the benchmark.
import { Agent, request } from 'node:http'

export type SendTotals = {
  sent: number
  accepted: number
  refused: number
  requests: number
  retried: number
}

export type BatchSender = {
  /** Resolves when the batch is accepted or finally refused. */
  send(messages: unknown[]): Promise<void>
  totals: SendTotals
  close(): void
}

export function openBatchSender(options: {
  httpUrl: string
  writeKey: string
  connections: number
}): BatchSender {
  const agent = new Agent({ keepAlive: true, maxSockets: options.connections })
  const url = new URL('/v1/batch', options.httpUrl)
  const authorization = `Basic ${Buffer.from(`${options.writeKey}:`).toString('base64')}`
  const totals: SendTotals = { sent: 0, accepted: 0, refused: 0, requests: 0, retried: 0 }

  const post = (body: string): Promise<{ status: number; retryAfterS: number; text: string }> =>
    new Promise((resolve, reject) => {
      const call = request(url, {
        agent,
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          authorization,
        },
      })
      call.on('error', reject)
      call.on('response', (reply) => {
        const chunks: Buffer[] = []
        reply.on('data', (chunk: Buffer) => chunks.push(chunk))
        reply.on('error', reject)
        reply.on('end', () =>
          resolve({
            status: reply.statusCode ?? 0,
            retryAfterS: Number(reply.headers['retry-after'] ?? 1),
            text: Buffer.concat(chunks).toString('utf8'),
          }),
        )
      })
      call.end(body)
    })

  return {
    totals,
    close: () => agent.destroy(),
    async send(messages) {
      const body = JSON.stringify({ batch: messages, sentAt: new Date().toISOString() })
      totals.sent += messages.length
      for (let attempt = 1; ; attempt++) {
        totals.requests += 1
        const reply = await post(body).catch(() => ({ status: 0, retryAfterS: 0.2, text: '' }))
        if (reply.status === 200) {
          const verdict: { accepted?: number; refused?: number } = JSON.parse(reply.text)
          totals.accepted += verdict.accepted ?? messages.length
          totals.refused += verdict.refused ?? 0
          return
        }
        const retryable =
          reply.status === 0 || reply.status === 408 || reply.status === 429 || reply.status >= 500
        if (!retryable || attempt >= 100) {
          totals.refused += messages.length
          return
        }
        totals.retried += 1
        await new Promise((resolve) => setTimeout(resolve, reply.retryAfterS * 1000))
      }
    },
  }
}
