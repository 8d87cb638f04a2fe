// Judges the events of one request: which are taken, which are refused and why. Called by collector/receive.ts with
// the parsed body. Touches nothing outside the request.
import { toSegmentMessage } from '../domain/ecommerce.ts'
import { parseEventTime } from '../domain/event-time.ts'
import { checkEvent, checkShared, type EventLimits, type Issue } from '../domain/validate.ts'
import { isJsonObject, type JsonObject } from '../domain/validate-json.ts'
import { fail } from '../runtime/errors.ts'
import type { EventType } from '../schema/event.ts'

/** What a path takes: one Segment message, a Segment batch, or the same of e-commerce events. */
export type Shape =
  | { form: 'single'; dialect: 'segment'; type: EventType }
  | { form: 'single' | 'batch'; dialect: 'segment' | 'ecommerce'; type?: never }

export type RefusedEvent = Issue & { index: number; messageId?: string }
export type Judged = {
  accepted: JsonObject[]
  /** Size of each accepted event in characters, roughly. */
  eventChars: number[]
  refused: RefusedEvent[]
  /** Ids that the server gave to accepted events, by their index in the request. */
  givenIds: { index: number; messageId: string }[]
}

/** The parts of a body, before its events are judged. */
export type Envelope = {
  events: unknown[]
  /** Write key in the body: of the request, else of its first event. */
  writeKey: string | undefined
  sentAt: number | undefined
  context: JsonObject | undefined
  integrations: JsonObject | undefined
}

type Limits = Omit<EventLimits, 'pathType' | 'oldestMs'> & { maxRequestEvents: number }

/** Takes a body apart. Throws `invalid_request` or `payload_too_large` where the request as a whole cannot be read. */
export function openEnvelope(value: unknown, shape: Shape, limits: Limits): Envelope {
  if (!isJsonObject(value)) throw fail('invalid_request', 'the body must be a JSON object')
  const { writeKey } = value
  if (shape.form === 'single') {
    return {
      events: [value],
      writeKey: keyText(writeKey),
      sentAt: undefined,
      context: undefined,
      integrations: undefined,
    }
  }
  const field = value.batch === undefined && shape.dialect === 'ecommerce' ? 'events' : 'batch'
  const events = value[field]
  if (!Array.isArray(events) || events.length === 0) {
    throw fail('invalid_request', `${field} must be an array with at least one event`, { field })
  }
  if (events.length > limits.maxRequestEvents) {
    throw fail('payload_too_large', `${events.length} events, more than ${limits.maxRequestEvents}`, {
      field,
    })
  }
  return {
    events,
    writeKey: keyText(writeKey) ?? keyOfEvents(events),
    sentAt: sentAtOf(value.sentAt),
    context: sharedObject(value.context, 'context', limits),
    integrations: sharedObject(value.integrations, 'integrations', limits),
  }
}

/** Judges each event on its own; `newId` gives ids to those without. */
export function judgeEvents(
  envelope: Envelope,
  shape: Shape,
  limits: EventLimits,
  newId: () => string,
): Judged {
  const judged: Judged = { accepted: [], eventChars: [], refused: [], givenIds: [] }
  const walk = { checkStrings: limits.checkStrings, chars: 0 }
  const { events } = envelope
  for (let index = 0; index < events.length; index++) {
    const sent = events[index]
    const before = walk.chars
    const translated = shape.dialect === 'ecommerce' ? toSegmentMessage(sent) : undefined
    const message = translated === undefined ? sent : 'message' in translated ? translated.message : sent
    const issue: Issue | undefined =
      translated !== undefined && 'reason' in translated
        ? { code: 'invalid_event', field: translated.field, reason: translated.reason }
        : checkEvent(message, limits, walk)
    if (issue !== undefined || !isJsonObject(message)) {
      judged.refused.push(refusedEvent(index, sent, issue ?? NO_OBJECT))
      continue
    }
    // The key was for the door only: it must not be stored with every event.
    if (message.writeKey !== undefined) message.writeKey = undefined
    if (message.messageId === undefined) {
      const messageId = newId()
      message.messageId = messageId
      judged.givenIds.push({ index, messageId })
    }
    judged.accepted.push(message)
    judged.eventChars.push(walk.chars - before)
  }
  return judged
}

const NO_OBJECT: Issue = { code: 'invalid_event', field: '', reason: 'must be an object' }

function refusedEvent(index: number, event: unknown, issue: Issue): RefusedEvent {
  const messageId = isJsonObject(event) ? event.messageId : undefined
  return typeof messageId === 'string' && messageId.length <= 256
    ? { index, messageId: messageId.toWellFormed(), ...issue }
    : { index, ...issue }
}

function keyText(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** Events may carry the key themselves; one request writes to one source, so they must agree. */
function keyOfEvents(events: unknown[]): string | undefined {
  const first = events[0]
  const key = isJsonObject(first) ? keyText(first.writeKey) : undefined
  if (key === undefined) return undefined
  const agree = events.every((event) => isJsonObject(event) && event.writeKey === key)
  if (agree) return key
  throw fail('invalid_request', 'the events of one request must all carry the same writeKey', {
    field: 'writeKey',
  })
}

function sentAtOf(value: unknown): number | undefined {
  if (value === undefined || value === null || value === '') return undefined
  const time = typeof value === 'string' ? parseEventTime(value) : undefined
  if (time !== undefined) return time
  throw fail('invalid_request', 'sentAt must be a time with an offset (RFC 3339)', { field: 'sentAt' })
}

function sharedObject(value: unknown, field: string, limits: Limits): JsonObject | undefined {
  const issue = checkShared(value, field, limits)
  if (issue === undefined) return isJsonObject(value) ? value : undefined
  throw fail(issue.code === 'payload_too_large' ? issue.code : 'invalid_request', issue.reason, {
    field: issue.field,
  })
}
