// What the collector puts on the `ingest` queue: requests as they came, already checked event by event. Many requests
// share one job (group commit). `message` is the event exactly as sent; Segment's spec is its shape
// (https://segment.com/docs/connections/spec/common/). Times are ms since the epoch.
import Type, { type Static } from 'typebox'

export const CollectedRequest = Type.Object({
  sourceId: Type.Integer({ minimum: 1, maximum: 32767 }),
  receivedAt: Type.Number(),
  /** Client clock when it sent the request (Segment `sentAt`); kept, never used to shift event times. */
  sentAt: Type.Optional(Type.Number()),
  /** Truncated by the collector (/24, /48) unless configured otherwise. */
  ip: Type.Optional(Type.String({ maxLength: 64 })),
  userAgent: Type.Optional(Type.String({ maxLength: 1024 })),
  country: Type.Optional(Type.String({ maxLength: 8 })),
  city: Type.Optional(Type.String({ maxLength: 128 })),
  /** `Sec-GPC: 1`: an opt-out of sale and sharing (https://w3c.github.io/gpc/). */
  gpc: Type.Optional(Type.Boolean()),
  /** `context` and `integrations` of a batch, which apply to each of its events where the event has none. */
  context: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  integrations: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  messages: Type.Array(Type.Record(Type.String(), Type.Unknown()), { minItems: 1 }),
})
export type CollectedRequest = Static<typeof CollectedRequest>

export const CollectedBatch = Type.Object({
  v: Type.Literal(1),
  /** Unique, made by the collector; every id downstream is derived from it. */
  batchId: Type.String({ pattern: '^[A-Za-z0-9_-]{8,80}$' }),
  requests: Type.Array(CollectedRequest, { minItems: 1 }),
})
export type CollectedBatch = Static<typeof CollectedBatch>
