// Makes the one event form of a message: Segment's field names in, schema/event.ts out. Pure and on the hot path of
// every event; called by the ingest pool. Times stay what the message says: never shifted by `sentAt`.
import type { CollectedRequest } from '../schema/collected.ts'
import { EVENT_TYPES, type EventType, MARKS, type NormalEvent } from '../schema/event.ts'
import { enrich, objectOf, textOf } from './enrich.ts'
import { isBlockedId } from './identity.ts'
import { normaliseCurrency, toMinorUnits } from './money.ts'
import { payloadHash } from './payload-hash.ts'

/** Fields that say what happened: two sends of one message agree on them. */
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
/** Fields that have a column of their own, or belong to the sending. */
const NOT_IN_ENVELOPE = new Set([
  'messageId',
  'type',
  'event',
  'name',
  'userId',
  'anonymousId',
  'previousId',
  'properties',
  'context',
  'writeKey',
  '_metadata',
  'integrations',
])

export type Request = Omit<CollectedRequest, 'messages'>

/** The form of one checked message of a request. Throws a TypeError on what the edge should have refused. */
export function normalise(
  message: Record<string, unknown>,
  request: Request,
  futureToleranceMs: number,
): NormalEvent {
  const type = typeOf(message.type)
  const messageId = textOf(message.messageId)
  if (messageId === undefined) throw new TypeError('messageId is missing')
  const sentContext = message.context === undefined ? (request.context ?? {}) : objectOf(message.context)
  const integrations = message.integrations ?? request.integrations
  const hash = payloadHash({ ...message, context: sentContext, integrations }, SAID)
  const { context, marks, landing } = enrich(sentContext, request)
  const when = eventTime(message, request.receivedAt, futureToleranceMs)
  const isTraits = type === 'identify' || type === 'group'
  const said = objectOf(isTraits ? message.traits : message.properties)
  const ids = idsOf(message)
  const purchase = type === 'track' && message.event === 'Order Completed' ? purchaseValue(said) : undefined
  const name =
    type === 'track'
      ? textOf(message.event)
      : type === 'page' || type === 'screen'
        ? textOf(message.name)
        : undefined
  return {
    messageId,
    hash,
    sourceId: request.sourceId,
    type,
    name: (name ?? '').slice(0, 200),
    ...ids.kept,
    time: when.time,
    receivedAt: request.receivedAt,
    ...(purchase?.value === undefined ? {} : { value: purchase.value, currency: purchase.currency }),
    marks: marks | when.marks,
    ...(type === 'identify' ? { traits: said } : {}),
    landing,
    properties: JSON.stringify(said),
    envelope: JSON.stringify({
      ...envelopeOf(message),
      ...(request.sentAt === undefined ? {} : { sentAt: new Date(request.sentAt).toISOString() }),
      context,
      ...(integrations === undefined ? {} : { integrations }),
      millrace: {
        landing,
        ...(ids.dropped === undefined ? {} : { ignoredUserId: ids.dropped }),
        ...(purchase?.note === undefined ? {} : { note: purchase.note }),
      },
    }),
  }
}

function typeOf(value: unknown): EventType {
  const type = EVENT_TYPES.find((known) => known === value)
  if (type === undefined) throw new TypeError('type is not one of Segment’s six')
  return type
}

/** A user id that stands for nobody ("null", "guest") beside an anonymous id does not count. */
function idsOf(message: Record<string, unknown>): {
  kept: { userId?: string; anonymousId?: string; previousId?: string }
  dropped?: string
} {
  const userId = idText(message.userId)
  const anonymousId = idText(message.anonymousId)
  const previousId = idText(message.previousId)
  const dropUser = userId !== undefined && anonymousId !== undefined && isBlockedId(userId)
  return {
    kept: {
      ...(userId === undefined || dropUser ? {} : { userId }),
      ...(anonymousId === undefined ? {} : { anonymousId }),
      ...(previousId === undefined ? {} : { previousId }),
    },
    ...(dropUser ? { dropped: userId } : {}),
  }
}

function idText(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value)
  return textOf(value)
}

function eventTime(
  message: Record<string, unknown>,
  receivedAt: number,
  futureToleranceMs: number,
): { time: number; marks: number } {
  const said = message.timestamp ?? message.originalTimestamp
  const time = typeof said === 'string' ? Date.parse(said) : typeof said === 'number' ? said : Number.NaN
  if (Number.isNaN(time)) return { time: receivedAt, marks: MARKS.serverTime }
  if (time > receivedAt + futureToleranceMs) return { time: receivedAt, marks: MARKS.clampedTime }
  return { time, marks: 0 }
}

/** Revenue, else total, else value, in minor units. */
function purchaseValue(properties: Record<string, unknown>): {
  value?: string
  currency?: string
  note?: string
} {
  const stated = properties.revenue ?? properties.total ?? properties.value
  if (stated === undefined || stated === null)
    return { note: 'the purchase states no revenue, total or value' }
  const currency = normaliseCurrency(properties.currency)
  if (currency === undefined) return { note: 'currency is not an ISO 4217 code' }
  const minor = toMinorUnits(stated, currency)
  if (minor === undefined) return { note: 'the purchase value is not a plain decimal number' }
  return { value: minor.toString(), currency }
}

function envelopeOf(message: Record<string, unknown>): Record<string, unknown> {
  const rest: Record<string, unknown> = {}
  for (const key of Object.keys(message)) {
    if (NOT_IN_ENVELOPE.has(key)) continue
    if (key === 'traits' && (message.type === 'identify' || message.type === 'group')) continue
    rest[key] = message[key]
  }
  return rest
}
