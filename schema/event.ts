// The one event form: what ingest makes of every message and what `persist` and `archive` consume. Field names follow
// Segment where Segment has them; short names are what travels with every event of the hot path. Times are ms.
import Type, { type Static } from 'typebox'

export const EVENT_TYPES = ['track', 'identify', 'page', 'screen', 'group', 'alias'] as const
export type EventType = (typeof EVENT_TYPES)[number]

/** Bits of `marks`: nothing is dropped for them, readers and guards decide. */
export const MARKS = {
  bot: 1,
  gpc: 2,
  consentDenied: 4,
  serverMessageId: 8,
  clampedTime: 16,
  serverTime: 32,
  consentGiven: 64,
} as const

const Id = Type.String({ minLength: 1, maxLength: 256 })

export const NormalEvent = Type.Object({
  messageId: Id,
  /** 64-bit hash (decimal string, signed) of what the message says, without times: same id + other hash = conflict. */
  hash: Type.String({ pattern: '^-?[0-9]{1,19}$' }),
  sourceId: Type.Integer({ minimum: 1, maximum: 32767 }),
  type: Type.Enum([...EVENT_TYPES]),
  /** Event name of a track; page or screen name of those; '' for the other types. */
  name: Type.String({ maxLength: 200 }),
  userId: Type.Optional(Id),
  anonymousId: Type.Optional(Id),
  previousId: Type.Optional(Id),
  /** When it happened: what the message says, never shifted by `sentAt`; the time of receipt where it says nothing possible. */
  time: Type.Number(),
  receivedAt: Type.Number(),
  /** Money in minor units of `currency` (decimal string) of a purchase; null where there is none. */
  value: Type.Optional(Type.String({ pattern: '^-?[0-9]{1,18}$' })),
  currency: Type.Optional(Type.String({ pattern: '^[A-Z]{3}$' })),
  marks: Type.Integer({ minimum: 0 }),
  /** identify (and group: prefixed) traits that change the profile. */
  traits: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  /** JSON text of `properties` (of `traits` for identify and group): carried as text, parsed by Postgres only. */
  properties: Type.String(),
  /**
   * JSON text of the rest: context (enriched), integrations, sentAt and any other field as sent, and under
   * `millrace` what ingest noted: `landing` is what a session takes from its first event.
   */
  envelope: Type.String(),
})
export type NormalEvent = Static<typeof NormalEvent>

export const NormalBatch = Type.Object({
  v: Type.Literal(1),
  batchId: Type.String({ pattern: '^[A-Za-z0-9_-]{8,80}$' }),
  events: Type.Array(NormalEvent, { minItems: 1 }),
})
export type NormalBatch = Static<typeof NormalBatch>
