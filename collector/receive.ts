// The path of one request, as a list of verbs: door → key → read → (key) → rate → judge → accept → answer. Each step
// refuses with its own code before the next one costs anything. Called by the route files.

import { randomUUID } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { truncateIp } from '../domain/ip.ts'
import type { JsonObject } from '../domain/validate-json.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Config } from '../runtime/config.ts'
import { fail, MillraceError } from '../runtime/errors.ts'
import { sendProblem } from '../runtime/http.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { CollectedRequest } from '../schema/collected.ts'
import type { Acceptor } from './accept.ts'
import { checkMedia, codingOf, inflateBody, parseBody } from './body.ts'
import { type Credential, checkMayWrite, keyOfHeader, type RateLimiter, type Writer } from './credential.ts'
import type { FeedRecorder } from './feed.ts'
import type { Gate } from './gate.ts'
import type { KeyCache } from './key-cache.ts'
import { type Envelope, type Judged, judgeEvents, openEnvelope, type Shape } from './verdicts.ts'

export type Receiver = {
  /** Follows a sample of the requests through the pools; undefined when none are. */
  span: (<T>(name: string, work: () => Promise<T>) => Promise<T>) | undefined
  gate: Gate
  keys: KeyCache
  rates: RateLimiter
  acceptor: Acceptor
  feed: FeedRecorder
  config: Config
  clock: Clock
  metrics: Metrics
}

/** Before the body is read: is the door open, can this be JSON? Throws otherwise. */
export function checkDoor(request: FastifyRequest, { gate, metrics }: Receiver): void {
  const refusal = gate.refusal()
  if (refusal !== undefined) {
    metrics.shed.inc({ reason: refusal.reason, state: refusal.state })
    throw fail(refusal.state === 'soft' ? 'overloaded' : 'unavailable', SHED_TEXT[refusal.reason], {
      retryAfterS: refusal.retryAfterS,
    })
  }
  checkMedia(request.headers['content-type'])
}

const SHED_TEXT = {
  depth: 'the pipeline is behind; send again later',
  age: 'the pipeline is behind; send again later',
  memory: 'the queues are full; send again later',
  redis: 'the queues are not reachable; send again later',
  lag: 'this collector is behind; send again later',
} as const

/** Answers 200 when at least one event is on disk, else a problem; never a 5xx for what was sent. */
export async function receive(
  request: FastifyRequest,
  reply: FastifyReply,
  shape: Shape,
  receiver: Receiver,
): Promise<FastifyReply> {
  const headerKey = keyOfHeader(request.headers.authorization)
  const early = headerKey === undefined ? undefined : mayWrite(request, receiver.keys.find(headerKey))
  const fromHeader = early instanceof Promise ? await early : early
  const { envelope, limits } = await readEnvelope(request, shape, fromHeader, receiver)
  const writer = fromHeader ?? (await mayWrite(request, receiver.keys.find(keyOfBody(envelope))))
  receiver.rates.take(writer, envelope.events.length)

  const receivedAt = receiver.clock.now()
  const oldestMs = writer.acceptEventsSince ?? receivedAt - receiver.config.retentionDays * 86_400_000
  const judged = judgeEvents(envelope, shape, { ...limits, pathType: shape.type, oldestMs }, randomUUID)
  noteRefused(envelope, judged, writer.sourceId, receiver)
  if (judged.accepted.length === 0) return answerRefused(reply, shape, judged)

  const collected = collectedRequest(request, envelope, judged.accepted, receivedAt, writer, receiver.config)
  await receiver.acceptor.accept(collected, limits.requestBytes, judged.eventChars)
  receiver.metrics.events.inc(ACCEPTED, judged.accepted.length)
  receiver.feed.accepted(writer.sourceId, judged.accepted)
  return answerAccepted(reply, judged)
}

const ACCEPTED = { stage: 'collector', verdict: 'accepted' } as const
const REFUSED = { stage: 'collector', verdict: 'refused' } as const

/** Stays synchronous for a key that is in memory. */
function mayWrite(
  request: FastifyRequest,
  found: Credential | Promise<Credential>,
): Writer | Promise<Writer> {
  const from = { origin: request.headers.origin, address: request.ip }
  return found instanceof Promise
    ? found.then((credential) => checkMayWrite(credential, from))
    : checkMayWrite(found, from)
}

function keyOfBody(envelope: Envelope): string {
  if (envelope.writeKey !== undefined) return envelope.writeKey
  throw fail('unauthorized', 'no key: send it as Basic user name, Bearer token or writeKey in the body', {
    field: 'writeKey',
  })
}

async function readEnvelope(
  request: FastifyRequest,
  shape: Shape,
  writer: Writer | undefined,
  { config, feed }: Receiver,
) {
  const coding = codingOf(request.headers['content-encoding'])
  const raw = Buffer.isBuffer(request.body) ? request.body : EMPTY
  try {
    const body = parseBody(
      coding === undefined ? raw : await inflateBody(raw, coding, config.maxRequestBytes),
    )
    const limits = {
      maxEventBytes: config.maxEventBytes,
      maxRequestEvents: config.maxRequestEvents,
      requestBytes: body.bytes,
      checkStrings: body.hasEscapes,
    }
    return { envelope: openEnvelope(body.value, shape, limits), limits }
  } catch (error) {
    // A request that could not be read at all is what a developer most wants to see in the debugger.
    if (writer !== undefined && error instanceof MillraceError) {
      feed.refused(writer.sourceId, undefined, {
        code: error.code,
        field: error.field ?? '',
        reason: error.detail,
      })
    }
    throw error
  }
}

const EMPTY = Buffer.alloc(0)

function noteRefused(
  envelope: Envelope,
  judged: Judged,
  sourceId: number,
  { feed, metrics }: Receiver,
): void {
  if (judged.refused.length === 0) return
  for (const refused of judged.refused) feed.refused(sourceId, envelope.events[refused.index], refused)
  metrics.events.inc(REFUSED, judged.refused.length)
}

function collectedRequest(
  request: FastifyRequest,
  envelope: Envelope,
  messages: JsonObject[],
  receivedAt: number,
  writer: Writer,
  config: Config,
): CollectedRequest {
  const { headers } = request
  const collected: CollectedRequest = { sourceId: writer.sourceId, receivedAt, messages }
  const ip = config.keepFullIp ? request.ip : truncateIp(request.ip)
  if (ip !== undefined) collected.ip = ip
  if (envelope.sentAt !== undefined) collected.sentAt = envelope.sentAt
  if (headers['user-agent'] !== undefined) collected.userAgent = headers['user-agent'].slice(0, 1024)
  if (headers['sec-gpc'] === '1') collected.gpc = true
  if (envelope.context !== undefined) collected.context = envelope.context
  if (envelope.integrations !== undefined) collected.integrations = envelope.integrations
  if (config.trustProxy) {
    const country = headers[config.geoCountryHeader.toLowerCase()]
    const city = headers[config.geoCityHeader.toLowerCase()]
    if (typeof country === 'string' && country !== '') collected.country = country.slice(0, 8)
    if (typeof city === 'string' && city !== '') collected.city = city.slice(0, 128)
  }
  return collected
}

/** The usual answer, made once. */
const ONE_ACCEPTED = '{"success":true,"accepted":1,"refused":0,"errors":[]}'
const GIVEN_IDS_NOTE = 'the server made these ids: sending the same events again stores them again'

function answerAccepted(reply: FastifyReply, judged: Judged): FastifyReply {
  const { accepted, refused, givenIds } = judged
  reply.header('content-type', 'application/json; charset=utf-8')
  if (accepted.length === 1 && refused.length === 0 && givenIds.length === 0) return reply.send(ONE_ACCEPTED)
  return reply.send(
    JSON.stringify({
      success: true,
      accepted: accepted.length,
      refused: refused.length,
      errors: refused,
      ...(givenIds.length === 0 ? {} : { messageIds: givenIds, note: GIVEN_IDS_NOTE }),
    }),
  )
}

function answerRefused(reply: FastifyReply, shape: Shape, judged: Judged): FastifyReply {
  const { refused } = judged
  const [first] = refused
  const problem =
    shape.form === 'single' && first !== undefined
      ? fail(first.code, `${first.field === '' ? 'the event' : first.field} ${first.reason}`, {
          field: first.field,
        })
      : fail('all_events_invalid', `all ${refused.length} events were refused; errors says why`)
  return sendProblem(reply, problem, {
    success: false,
    accepted: 0,
    refused: refused.length,
    errors: refused,
  })
}
