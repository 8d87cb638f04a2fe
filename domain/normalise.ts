// Makes the one event form of a message: Segment's field names in, schema/event.ts out. Pure and on the hot path of
// every event; called by the ingest pool. Times stay what the message says: never shifted by `sentAt`.
import type { CollectedRequest } from '../schema/collected.ts'
import { EVENT_TYPES, type EventType, MARKS, type NormalEvent } from '../schema/event.ts'
import { enrich, objectOf, textOf } from './enrich.ts'
import { isoTime, parseEventTime } from './event-time.ts'
import { isBlockedId } from './identity.ts'
import { normaliseCurrency, toMinorUnits } from './money.ts'
import { payloadHash } from './payload-hash.ts'

/** Fields that say what happened: two sends of one message agree on them. Times and what a transport adds are left out. */
const SAID = [
  'type',
  'event',
  'name',
  'userId',
  'anonymousId',
  'previousId',
  'groupId',
  'category',
  'properties',
  'traits',
  'context',
  'integrations',
]

/** Fields that the event form holds elsewhere, by type: what is left goes into the envelope as it was sent. */
const HELD = new Set([
  'messageId',
  'type',
  'userId',
  'anonymousId',
  'timestamp',
  'originalTimestamp',
  'receivedAt',
  'sentAt',
  'context',
  'integrations',
  'millrace',
  // what SDKs add when they send
  'writeKey',
  '_metadata',
])
const HELD_BY_TYPE: Record<EventType, ReadonlySet<string>> = {
  track: new Set([...HELD, 'event', 'properties']),
  page: new Set([...HELD, 'name', 'properties']),
  screen: new Set([...HELD, 'name', 'properties']),
  identify: new Set([...HELD, 'traits']),
  group: new Set([...HELD, 'traits']),
  alias: new Set([...HELD, 'properties']),
}
const TYPES: ReadonlyMap<unknown, EventType> = new Map(EVENT_TYPES.map((type) => [type, type]))
const PURCHASE = 'Order Completed'
const MAX_NAME_CHARS = 200

export type Request = Omit<CollectedRequest, 'messages'>
type Message = Record<string, unknown>

/** The form of one checked message of a request. Throws a TypeError on what the edge should have refused. */
export function normalise(message: Message, request: Request, futureToleranceMs: number): NormalEvent {
  const type = TYPES.get(message.type)
  if (type === undefined) throw new TypeError('type is not one of Segment’s six')
  const messageId = textOf(message.messageId)
  if (messageId === undefined) throw new TypeError('messageId is missing')
  const sentContext = objectOf(message.context ?? request.context)
  const integrations = message.integrations ?? request.integrations
  const hash = payloadHash(message, SAID, { context: sentContext, integrations })
  const { context, marks, landing } = enrich(sentContext, request)
  const when = eventTime(message, request.receivedAt, futureToleranceMs)
  const said = objectOf(type === 'identify' || type === 'group' ? message.traits : message.properties)
  const name = type === 'track' ? message.event : type === 'page' || type === 'screen' ? message.name : ''
  const purchase = type === 'track' && name === PURCHASE ? purchaseValue(said) : undefined
  const event: NormalEvent = {
    messageId,
    hash,
    sourceId: request.sourceId,
    type,
    name: (textOf(name) ?? '').slice(0, MAX_NAME_CHARS),
    time: when.time,
    receivedAt: request.receivedAt,
    marks: marks | when.marks,
    properties: JSON.stringify(said),
    envelope: '',
  }
  const ignoredUserId = addIds(event, message)
  if (purchase?.money !== undefined) {
    event.value = purchase.money.value
    event.currency = purchase.money.currency
  }
  if (type === 'identify') event.traits = said
  const envelope = restOf(message, HELD_BY_TYPE[type])
  envelope.originalTimestamp = message.originalTimestamp ?? when.asWritten
  if (request.sentAt !== undefined) envelope.sentAt = isoTime(request.sentAt)
  envelope.context = context
  envelope.integrations = integrations
  envelope.millrace = { landing, ignoredUserId, note: purchase?.note }
  event.envelope = JSON.stringify(envelope)
  return event
}

/** Adds who it is about. A user id that stands for nobody ("null", "guest") beside an anonymous id does not count: it is returned. */
function addIds(event: NormalEvent, message: Message): string | undefined {
  const userId = idText(message.userId)
  const anonymousId = idText(message.anonymousId)
  const previousId = idText(message.previousId)
  const ignored = userId !== undefined && anonymousId !== undefined && isBlockedId(userId)
  if (userId !== undefined && !ignored) event.userId = userId
  if (anonymousId !== undefined) event.anonymousId = anonymousId
  if (previousId !== undefined) event.previousId = previousId
  return ignored ? userId : undefined
}

function idText(value: unknown): string | undefined {
  return typeof value === 'number' ? String(value) : textOf(value)
}

/** `asWritten` is there only when the text is not simply `time` in its usual form, so that it is not kept twice. */
function eventTime(
  message: Message,
  receivedAt: number,
  futureToleranceMs: number,
): { time: number; marks: number; asWritten?: string } {
  const said = textOf(message.timestamp) ?? textOf(message.originalTimestamp)
  if (said === undefined) return { time: receivedAt, marks: MARKS.serverTime }
  const time = parseEventTime(said)
  if (time === undefined) return { time: receivedAt, marks: MARKS.serverTime, asWritten: said }
  if (time > receivedAt + futureToleranceMs) {
    return { time: receivedAt, marks: MARKS.clampedTime, asWritten: said }
  }
  const usual = said.length === 24 && said.endsWith('Z') && said[19] === '.'
  return usual ? { time, marks: 0 } : { time, marks: 0, asWritten: said }
}

/** Revenue, else total, else value, in minor units; `note` says why there is none. */
function purchaseValue(properties: Message): { money?: { value: string; currency: string }; note?: string } {
  const stated = properties.revenue ?? properties.total ?? properties.value
  if (stated === undefined || stated === null)
    return { note: 'the purchase states no revenue, total or value' }
  const currency = normaliseCurrency(properties.currency)
  if (currency === undefined) return { note: 'currency is not an ISO 4217 code' }
  const minor = toMinorUnits(stated, currency)
  if (minor === undefined) return { note: 'the purchase value is not a plain decimal number' }
  return { money: { value: minor.toString(), currency } }
}

function restOf(message: Message, held: ReadonlySet<string>): Message {
  const rest: Message = {}
  for (const key in message) if (!held.has(key)) rest[key] = message[key]
  return rest
}
