// A TCP proxy that breaks a connection on purpose: latency, bandwidth, reset, blackhole, refused connections, and the two
// that find most: a reply that is swallowed after the request was done, and a cut at a point of the protocol. Stands
// between a process and one store, provider or client; knows nothing of what it carries but the frames.

import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net'
import { chunks, type Framer } from './framing.ts'

/**
 * swallow: the frame that matches gets through when it is a request, and nothing that is said after it comes back; a
 * reply that matches is itself kept back. cut: half of the frame gets through. Both end in a reset of the connection.
 * hold: as swallow, of a reply, but the connection stays open in silence.
 */
export type Rule = {
  on: 'request' | 'reply'
  matches: RegExp
  act: 'swallow' | 'cut' | 'hold'
  /** Connections that are hit; 1 unless said. */
  times?: number
  /** Matching frames that go by unharmed first, on all connections together. */
  skip?: number
}

export type Toxics = {
  latencyMs: number
  /** Added at random, up to this. */
  jitterMs: number
  /** Each way of each connection; 0 = no bound. */
  bytesPerSecond: number
  /** What is sent that way does not arrive until healed; connections stay open. */
  holdRequests: boolean
  holdReplies: boolean
  /** New connections are reset at once. */
  refuse: boolean
}

export type FaultProxy = {
  port: number
  connections(): number
  set(toxics: Partial<Toxics>): void
  /** Plans a swallow or a cut; returns how often it has hit so far. */
  plan(rule: Rule): () => number
  /** Resets every connection; returns how many. */
  reset(): number
  /** No toxics and no plans any more; what was held goes on its way. */
  heal(): void
  close(): Promise<void>
}

const HEALTHY: Toxics = {
  latencyMs: 0,
  jitterMs: 0,
  bytesPerSecond: 0,
  holdRequests: false,
  holdReplies: false,
  refuse: false,
}

type Planned = Rule & { left: number; skipped: number; hits: number }
type Link = {
  client: Socket
  server: Socket
  toServer: Line
  toClient: Line
  swallowing: Planned | undefined
  isSwallowed: boolean
}

/** Port 0 of loopback, to `targetPort` of loopback. */
export async function startProxy(options: {
  targetPort: number
  requests?: () => Framer
  replies?: () => Framer
}): Promise<FaultProxy> {
  const links = new Set<Link>()
  const toxics: Toxics = { ...HEALTHY }
  let plans: Planned[] = []

  const server: Server = createServer({ allowHalfOpen: true }, (client) => {
    if (toxics.refuse) {
      client.resetAndDestroy()
      return
    }
    const upstream = dial({ port: options.targetPort, host: '127.0.0.1', allowHalfOpen: true })
    const link: Link = {
      client,
      server: upstream,
      toServer: openLine(upstream, toxics, () => toxics.holdRequests),
      toClient: openLine(client, toxics, () => toxics.holdReplies),
      swallowing: undefined,
      isSwallowed: false,
    }
    links.add(link)
    const readRequests = (options.requests ?? chunks)()
    const readReplies = (options.replies ?? chunks)()
    carry(client, link.toServer, (chunk) => passRequests(link, readRequests(chunk), plans))
    carry(upstream, link.toClient, (chunk) => passReplies(link, readReplies(chunk), plans))
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => {
        if (!link.isSwallowed) other.resetAndDestroy()
      })
      one.on('close', () => {
        links.delete(link)
        if (!link.isSwallowed) other.destroy()
      })
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const flushAll = () => {
    for (const link of links) {
      link.toServer.drain()
      link.toClient.drain()
    }
  }
  const reset = () => {
    const count = links.size
    for (const link of [...links]) resetLink(link)
    return count
  }
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => links.size,
    set(changes) {
      Object.assign(toxics, changes)
      flushAll()
    },
    plan(rule) {
      const planned: Planned = { ...rule, left: rule.times ?? 1, skipped: 0, hits: 0 }
      plans.push(planned)
      return () => planned.hits
    },
    reset,
    heal() {
      plans = []
      Object.assign(toxics, HEALTHY)
      flushAll()
    },
    async close() {
      reset()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

function resetLink({ client, server }: Link): void {
  client.resetAndDestroy()
  server.resetAndDestroy()
}

/** The plan whose turn it is for a frame, if any. */
function hitBy(plans: Planned[], on: Rule['on'], text: string): Planned | undefined {
  for (const plan of plans) {
    if (plan.on !== on || plan.left === 0 || !plan.matches.test(text)) continue
    if (plan.skipped < (plan.skip ?? 0)) {
      plan.skipped += 1
      continue
    }
    plan.left -= 1
    return plan
  }
  return undefined
}

function passRequests(link: Link, frames: ReturnType<Framer>, plans: Planned[]): void {
  for (const frame of frames) {
    // What follows on a connection that is about to be cut would make the outcome of more than one request unclear.
    if (link.swallowing !== undefined) return
    const plan = hitBy(plans, 'request', frame.text)
    if (plan?.act === 'cut') {
      plan.hits += 1
      link.toServer.push(frame.bytes.subarray(0, Math.ceil(frame.bytes.length / 2)))
      swallow(link)
      return
    }
    link.toServer.push(frame.bytes)
    if (plan !== undefined) link.swallowing = plan
  }
}

function passReplies(link: Link, frames: ReturnType<Framer>, plans: Planned[]): void {
  for (const frame of frames) {
    if (link.isSwallowed) return
    // The first word after the request shows that it arrived.
    const plan = link.swallowing ?? hitBy(plans, 'reply', frame.text)
    if (plan === undefined) {
      link.toClient.push(frame.bytes)
      continue
    }
    plan.hits += 1
    if (plan.act === 'hold') {
      link.isSwallowed = true
      return
    }
    if (plan.on === 'reply' && plan.act === 'cut')
      link.client.write(frame.bytes.subarray(0, Math.ceil(frame.bytes.length / 2)))
    swallow(link)
  }
}

/** The server is not reset, only ended: what it has not read yet must not be thrown away with the connection. */
function swallow(link: Link): void {
  link.isSwallowed = true
  link.client.resetAndDestroy()
  link.toServer.push(undefined)
}

function carry(from: Socket, line: Line, pass: (chunk: Buffer) => void): void {
  from.on('data', pass)
  from.on('end', () => line.push(undefined))
}

type Line = { push(bytes: Buffer | undefined): void; drain(): void }

/** One way of a connection: bytes leave in order, when latency, bandwidth and the hold let them. */
function openLine(to: Socket, toxics: Toxics, isHeld: () => boolean): Line {
  const waiting: { bytes: Buffer | undefined; dueAt: number }[] = []
  let timer: NodeJS.Timeout | undefined
  let freeAt = 0
  const drain = () => {
    clearTimeout(timer)
    for (let first = waiting[0]; first !== undefined && !isHeld(); first = waiting[0]) {
      const waitMs = first.dueAt - performance.now()
      if (waitMs > 0) {
        timer = setTimeout(drain, waitMs)
        return
      }
      waiting.shift()
      if (first.bytes === undefined) to.end()
      else if (to.writable) to.write(first.bytes)
    }
  }
  to.on('close', () => clearTimeout(timer))
  return {
    push(bytes) {
      const now = performance.now()
      const travelMs = toxics.latencyMs + Math.random() * toxics.jitterMs
      const sendMs = toxics.bytesPerSecond > 0 ? ((bytes?.length ?? 0) / toxics.bytesPerSecond) * 1000 : 0
      freeAt = Math.max(freeAt, now) + sendMs
      const earliest = waiting.at(-1)?.dueAt ?? 0
      waiting.push({ bytes, dueAt: Math.max(earliest, freeAt + travelMs, now) })
      drain()
    },
    drain,
  }
}
