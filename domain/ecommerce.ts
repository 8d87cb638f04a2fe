// The e-commerce types of `/api/v1/events` as Segment messages: one form of event in the whole house, whatever the
// door it came in by. Names are those of Segment's e-commerce spec v2. Called by the collector. Pure.
import { isJsonObject, type JsonObject } from './validate-json.ts'

/** Event names of the types that become a track; PAGE_VIEW becomes a page. */
const TRACK_NAMES = {
  SESSION_START: 'Session Started',
  SESSION_END: 'Session Ended',
  PRODUCT_VIEW: 'Product Viewed',
  ADD_TO_CART: 'Product Added',
  REMOVE_FROM_CART: 'Product Removed',
  PURCHASE: 'Order Completed',
  SEARCH: 'Products Searched',
  CLICK: 'Clicked',
  SCROLL: 'Scrolled',
} as const

export const ECOMMERCE_TYPES = [
  'SESSION_START',
  'SESSION_END',
  'PAGE_VIEW',
  'PRODUCT_VIEW',
  'ADD_TO_CART',
  'REMOVE_FROM_CART',
  'PURCHASE',
  'SEARCH',
  'CLICK',
  'SCROLL',
] as const
export type EcommerceType = (typeof ECOMMERCE_TYPES)[number]

/** What an event of `/api/v1/events` may hold; anything else is refused, so that a typing error is seen. */
export const ECOMMERCE_FIELDS = [
  'type',
  'userId',
  'anonymousId',
  'sessionId',
  'messageId',
  'timestamp',
  'properties',
  'context',
] as const

const FIELDS: ReadonlySet<string> = new Set(ECOMMERCE_FIELDS)
const TYPES: ReadonlyMap<unknown, EcommerceType> = new Map(ECOMMERCE_TYPES.map((type) => [type, type]))

/**
 * The Segment message of an e-commerce event; its fields are checked later, like those of every message. `field` and
 * `reason` say what is wrong where it is none. The session id travels in `context.sessionId`.
 */
export function toSegmentMessage(
  event: unknown,
): { message: JsonObject } | { field: string; reason: string } {
  if (!isJsonObject(event)) return { field: '', reason: 'must be an object' }
  for (const field in event) {
    // The key may come in the event too; it is not copied.
    if (!FIELDS.has(field) && field !== 'writeKey') {
      return { field: field.slice(0, 64), reason: `is not a field: ${ECOMMERCE_FIELDS.join(', ')}` }
    }
  }
  const type = TYPES.get(event.type)
  if (type === undefined) return { field: 'type', reason: `must be one of ${ECOMMERCE_TYPES.join(', ')}` }
  const { sessionId, context } = event
  if (
    sessionId !== undefined &&
    (typeof sessionId !== 'string' || sessionId === '' || sessionId.length > 256)
  ) {
    return { field: 'sessionId', reason: 'must be a string of 1 to 256 characters' }
  }
  const message: JsonObject = {
    ...(type === 'PAGE_VIEW'
      ? { type: 'page', name: pageName(event.properties) }
      : { type: 'track', event: TRACK_NAMES[type] }),
    messageId: event.messageId,
    userId: event.userId,
    anonymousId: event.anonymousId,
    timestamp: event.timestamp,
    properties: event.properties,
    context:
      sessionId === undefined
        ? context
        : isJsonObject(context)
          ? { ...context, sessionId }
          : (context ?? { sessionId }),
  }
  return { message }
}

/** A page is called what its properties call it. */
function pageName(properties: unknown): unknown {
  return isJsonObject(properties) && typeof properties.name === 'string' ? properties.name : undefined
}
