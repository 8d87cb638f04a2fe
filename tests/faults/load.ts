// The load of the fault tests: buyers who cross the demo segment's threshold all along the way, and visitors around
// them, sent over HTTP while something is being broken. What is not answered is sent again with the same ids.
import { Agent, request } from 'node:http'
import { join } from 'node:path'
import type { Deployment } from '../support/deployment.ts'
import { contentHash, type Ledger, type Outcome, openLedger } from './ledger.ts'

export type Message = {
  messageId: string
  type: 'identify' | 'track'
  event?: string
  userId: string
  timestamp: string
  properties?: Record<string, unknown>
  traits?: Record<string, unknown>
}

export const BLOCK = 40
const ORDERS = 6
export const BUYERS = 500

/** A part of a run with people and message ids of its own, told by `prefix`, so that it can be judged alone. */
export type Part = { prefix: string; buyers: number }
const WHOLE: Part = { prefix: '', buyers: BUYERS }

/** Who each buyer is: the address of every channel. Sent before anything breaks, so that nobody is without address. */
export function buyerIdentities(startMs: number, { prefix, buyers }: Part = WHOLE): Message[] {
  return Array.from({ length: buyers }, (_, number) => {
    const buyer = `${prefix}buyer-${number}`
    return {
      messageId: `${prefix}who-${number}`,
      type: 'identify',
      userId: buyer,
      timestamp: new Date(startMs - 1000).toISOString(),
      traits: { email: `${buyer}@shop.example`, firstName: `B${number}`, pushToken: `token-${buyer}` },
    }
  })
}

/** Endless: every 40 events one buyer (of 500, then no more) places the 6 orders that make a big spender. */
export function* shopping(startMs: number, { prefix, buyers }: Part = WHOLE): Generator<Message> {
  for (let n = 0; ; n++) {
    const block = Math.floor(n / BLOCK)
    const isOrder = n % BLOCK < ORDERS && block < buyers
    yield {
      messageId: `${prefix}shop-${n}`,
      type: 'track',
      event: isOrder ? 'Order Completed' : 'Product Viewed',
      userId: isOrder ? `${prefix}buyer-${block}` : `visitor-${n % 900}`,
      timestamp: new Date(startMs + n).toISOString(),
      properties: isOrder
        ? { order_id: `o-${n}`, revenue: 199.5, currency: 'USD' }
        : { product_id: `p-${n % 100}`, price: (n % 5000) / 100, title: `Läufer № ${n}` },
    }
  }
}

export function hashOf(message: Message): string {
  return contentHash({
    type: message.type,
    name: message.event ?? '',
    user: message.userId,
    time: message.timestamp,
    content: message.properties ?? message.traits ?? {},
  })
}

export type LoadTotals = { acked: number; refused: number; retried: number; requests: number }

/**
 * Sends in batches over a few connections at `eventsPerSecond`, until `isEnough(acked)`. Every batch is in the ledger
 * before it leaves and is sent until it is answered. `httpUrls` take turns.
 */
export async function runLoad(options: {
  httpUrls: string[]
  writeKey: string
  ledger: Ledger
  messages: Iterator<Message>
  batchSize: number
  connections: number
  eventsPerSecond: number
  isEnough(acked: number): boolean
  /** Told whenever the number of requests without an answer changes. */
  onInFlight?(requests: number): void
  onOutcome?(outcome: Outcome): void
  /** Sends one batch; by HTTP unless said. */
  send?(httpUrl: string, batch: Message[]): Promise<Outcome>
}): Promise<LoadTotals> {
  const { ledger, messages, batchSize, connections } = options
  const agent = new Agent({ keepAlive: true, maxSockets: connections * 2 })
  const totals: LoadTotals = { acked: 0, refused: 0, retried: 0, requests: 0 }
  const send = options.send ?? ((url: string, batch: Message[]) => post(agent, url, options.writeKey, batch))
  const startedAt = Date.now()
  let taken = 0
  let inFlight = 0
  const next = (): Message[] => {
    const batch: Message[] = []
    while (batch.length < batchSize) {
      const { done, value } = messages.next()
      if (done === true) break
      batch.push(value)
    }
    taken += batch.length
    return batch
  }
  const sendUntilAnswered = async (batch: Message[], line: number) => {
    const ids = batch.map((message) => message.messageId)
    await ledger.sending(
      batch.map((message) => ({ id: message.messageId, user: message.userId, hash: hashOf(message) })),
    )
    for (let attempt = 0; ; attempt++) {
      totals.requests += 1
      const url = options.httpUrls[(line + attempt) % options.httpUrls.length] ?? ''
      options.onInFlight?.(++inFlight)
      const outcome = await send(url, batch)
      options.onInFlight?.(--inFlight)
      options.onOutcome?.(outcome)
      await ledger.answered(ids, outcome)
      if (outcome === 'unknown') {
        totals.retried += 1
        await new Promise((resolve) => setTimeout(resolve, 100))
        continue
      }
      totals[outcome] += batch.length
      return
    }
  }
  const connection = async (line: number) => {
    while (!options.isEnough(totals.acked)) {
      const aheadMs = (taken / options.eventsPerSecond) * 1000 - (Date.now() - startedAt)
      if (aheadMs > 0) {
        await new Promise((resolve) => setTimeout(resolve, Math.min(aheadMs, 200)))
        continue
      }
      const batch = next()
      if (batch.length === 0) return
      await sendUntilAnswered(batch, line)
    }
  }
  await Promise.all(Array.from({ length: connections }, (_, line) => connection(line)))
  agent.destroy()
  return totals
}

/** `status` 0 = no answer. */
export type Answer = { status: number; retryAfter: string | undefined; outcome: Outcome }
const NO_ANSWER: Answer = { status: 0, retryAfter: undefined, outcome: 'unknown' }

export async function post(
  agent: Agent,
  httpUrl: string,
  writeKey: string,
  batch: Message[],
): Promise<Outcome> {
  return (await postForAnswer(agent, httpUrl, writeKey, batch)).outcome
}

/** One request. A batch of these messages is never refused in part; if it is, the whole counts as refused. */
export function postForAnswer(
  agent: Agent,
  httpUrl: string,
  writeKey: string,
  batch: Message[],
): Promise<Answer> {
  const body = JSON.stringify({ batch, sentAt: new Date().toISOString() })
  return new Promise((resolve) => {
    const call = request(new URL('/v1/batch', httpUrl), {
      agent,
      method: 'POST',
      timeout: 10_000,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        authorization: `Basic ${Buffer.from(`${writeKey}:`).toString('base64')}`,
      },
    })
    call.on('timeout', () => call.destroy())
    call.on('error', () => resolve(NO_ANSWER))
    call.on('response', (reply) => {
      const chunks: Buffer[] = []
      reply.on('data', (chunk: Buffer) => chunks.push(chunk))
      reply.on('error', () => resolve(NO_ANSWER))
      reply.on('end', () => {
        const status = reply.statusCode ?? 0
        const outcome = outcomeOf(status, Buffer.concat(chunks).toString())
        resolve({ status, retryAfter: reply.headers['retry-after'], outcome })
      })
    })
    call.end(body)
  })
}

function outcomeOf(status: number, text: string): Outcome {
  if (status === 200) return JSON.parse(text).refused > 0 ? 'refused' : 'acked'
  return status === 429 || status === 408 || status >= 500 ? 'unknown' : 'refused'
}

/** Ledger and options of a run whose buyers are known already: nobody is without an address when something breaks. */
export async function openRun({ dataDir, note, httpUrl, settled }: Deployment, batchSize: number) {
  const ledgerFile = join(dataDir, 'ledger.jsonl')
  const ledger = await openLedger(ledgerFile)
  const startMs = Date.now() - 86_400_000
  const common = { httpUrls: [httpUrl], writeKey: note.writeKey, ledger, batchSize, connections: 6 }
  await runLoad({
    ...common,
    messages: buyerIdentities(startMs)[Symbol.iterator](),
    eventsPerSecond: 10_000,
    isEnough: (acked) => acked >= BUYERS,
  })
  await settled(30_000)
  return { ledgerFile, ledger, startMs, common }
}
