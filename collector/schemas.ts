// Shapes of the write routes for the OpenAPI document, with examples that a test sends as they stand. The checks
// themselves are domain/validate.ts: these schemas are not compiled into the hot path.
import Type from 'typebox'
import { ECOMMERCE_TYPES } from '../domain/ecommerce.ts'
import { EVENT_TYPES } from '../schema/event.ts'

const Id = (description: string) => Type.String({ minLength: 1, maxLength: 256, description })
const Bag = (description: string) => Type.Record(Type.String(), Type.Unknown(), { description })

const shared = {
  userId: Type.Optional(Id('Your id of the person; this or anonymousId is needed')),
  anonymousId: Type.Optional(Id('Id of the device or browser before it is known who it is')),
  messageId: Type.Optional(
    Id('Makes the event be stored once, however often it is sent; given by the server where missing'),
  ),
  timestamp: Type.Optional(
    Type.String({ format: 'date-time', description: 'When it happened, with an offset; now where missing' }),
  ),
  context: Type.Optional(Bag('Where it happened: page, campaign, locale, userAgent …')),
}

export const SegmentMessage = Type.Object(
  {
    ...shared,
    type: Type.Optional(Type.Union(EVENT_TYPES.map((type) => Type.Literal(type)))),
    event: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'Name of a track' })),
    name: Type.Optional(Type.String({ maxLength: 200, description: 'Name of a page or screen' })),
    properties: Type.Optional(Bag('Of a track, page or screen')),
    traits: Type.Optional(Bag('Of an identify or group')),
    groupId: Type.Optional(Id('Of a group')),
    previousId: Type.Optional(Id('Of an alias: the old id')),
    integrations: Type.Optional(Bag('Kept with the event')),
    sentAt: Type.Optional(Type.String({ format: 'date-time' })),
    writeKey: Type.Optional(Type.String({ description: 'Instead of the Authorization header' })),
  },
  { title: 'SegmentMessage', description: 'https://segment.com/docs/connections/spec/' },
)

export const SegmentBatch = Type.Object(
  {
    batch: Type.Array(SegmentMessage, { minItems: 1, maxItems: 2500 }),
    sentAt: Type.Optional(Type.String({ format: 'date-time' })),
    context: Type.Optional(Bag('For each event without its own')),
    integrations: Type.Optional(Bag('For each event without its own')),
    writeKey: Type.Optional(Type.String()),
  },
  {
    title: 'SegmentBatch',
    examples: [
      {
        batch: [
          { type: 'identify', userId: 'u-1042', traits: { plan: 'free' }, messageId: 'docs-identify-1' },
          { type: 'track', event: 'Product Viewed', userId: 'u-1042', messageId: 'docs-track-1' },
        ],
      },
    ],
  },
)

/** Examples of the single calls, by type. */
export const SEGMENT_EXAMPLES = {
  track: {
    event: 'Order Completed',
    userId: 'u-1042',
    messageId: 'docs-order-1',
    properties: { order_id: 'o-77', revenue: 129.9, currency: 'USD' },
  },
  identify: { userId: 'u-1042', messageId: 'docs-identify-2', traits: { plan: 'pro' } },
  page: { anonymousId: 'a-7', name: 'Home', messageId: 'docs-page-1' },
  screen: { anonymousId: 'a-7', name: 'Start', messageId: 'docs-screen-1' },
  group: { userId: 'u-1042', groupId: 'g-3', messageId: 'docs-group-1', traits: { name: 'Example Ltd' } },
  alias: { previousId: 'a-7', userId: 'u-1042', messageId: 'docs-alias-1' },
} as const

export const EcommerceEvent = Type.Object(
  {
    type: Type.Union(ECOMMERCE_TYPES.map((type) => Type.Literal(type))),
    ...shared,
    sessionId: Type.Optional(Id('Id of the visit; kept in context.sessionId')),
    properties: Type.Optional(Bag('As in Segment’s e-commerce spec: product_id, price, order_id, revenue …')),
  },
  {
    title: 'EcommerceEvent',
    additionalProperties: false,
    examples: [
      {
        type: 'PURCHASE',
        userId: 'u-1042',
        messageId: 'docs-purchase-1',
        properties: { order_id: 'o-78', revenue: 59.5, currency: 'USD' },
      },
    ],
  },
)

export const EcommerceBatch = Type.Object(
  {
    events: Type.Array(EcommerceEvent, { minItems: 1, maxItems: 2500 }),
    sentAt: Type.Optional(Type.String({ format: 'date-time' })),
    context: Type.Optional(Bag('For each event without its own')),
  },
  {
    title: 'EcommerceBatch',
    examples: [
      {
        events: [
          { type: 'PAGE_VIEW', anonymousId: 'a-7', messageId: 'docs-page-2', properties: { name: 'Shoes' } },
          {
            type: 'ADD_TO_CART',
            anonymousId: 'a-7',
            messageId: 'docs-cart-1',
            properties: { product_id: 'p-12', price: 59.5, quantity: 1 },
          },
        ],
      },
    ],
  },
)

const RefusedEvent = Type.Object({
  index: Type.Integer({ description: 'Place in the batch; 0 for a single event' }),
  messageId: Type.Optional(Type.String()),
  field: Type.String(),
  code: Type.String(),
  reason: Type.String(),
})

export const Accepted = Type.Object(
  {
    success: Type.Boolean(),
    accepted: Type.Integer({ description: 'Events that are on disk' }),
    refused: Type.Integer(),
    errors: Type.Array(RefusedEvent, { description: 'One for each refused event; do not send these again' }),
    messageIds: Type.Optional(
      Type.Array(Type.Object({ index: Type.Integer(), messageId: Type.String() }), {
        description: 'Ids that the server gave; such events are not deduplicated across sends',
      }),
    ),
    note: Type.Optional(Type.String()),
  },
  {
    title: 'Accepted',
    examples: [{ success: true, accepted: 1, refused: 0, errors: [] }],
  },
)

export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.String(),
    detail: Type.String(),
    field: Type.Optional(Type.String()),
    errors: Type.Optional(Type.Array(RefusedEvent)),
  },
  { title: 'Problem', description: 'RFC 9457' },
)
