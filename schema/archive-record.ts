// The public form of an archived event: one JSON object a line or message, Segment's field names, stable. Pub/Sub
// messages and archive files hold exactly this; BigQuery holds it with the columns of workers/archive/bigquery.ts.
// Made by domain/archive-line.ts. Files and topics are at least once: readers keep one record a `rowKey`.
import Type, { type Static } from 'typebox'
import { EVENT_TYPES } from './event.ts'

const Anything = Type.Record(Type.String(), Type.Unknown())
const Time = Type.String({ pattern: '^[+-]?[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9:.]{12}Z$' })

/** Any other field is one that the sender put on the message and that Segment does not know. */
export const ArchiveRecord = Type.Object({
  /**
   * Identifies the event: the same for every copy of it, in every file, message and load. Where two records of one key
   * differ, a sender used a message id twice: the one with the earlier `receivedAt` is the event.
   */
  rowKey: Type.String({ minLength: 1 }),
  messageId: Type.String({ minLength: 1 }),
  type: Type.Enum([...EVENT_TYPES]),
  /** Of a track. */
  event: Type.Optional(Type.String()),
  /** Of a page or screen that has one. */
  name: Type.Optional(Type.String()),
  userId: Type.Optional(Type.String()),
  anonymousId: Type.Optional(Type.String()),
  /** Of an alias. */
  previousId: Type.Optional(Type.String()),
  groupId: Type.Optional(Type.String()),
  /** When it happened: what the message says, or `receivedAt` where it says nothing possible (see `marks`). UTC. */
  timestamp: Time,
  receivedAt: Time,
  /** As the client wrote them, where they add something. */
  originalTimestamp: Type.Optional(Type.Unknown()),
  sentAt: Type.Optional(Type.String()),
  sourceId: Type.Integer(),
  /** Of a purchase: minor units of `currency`, as text because it may be beyond 2^53. */
  value: Type.Optional(Type.String({ pattern: '^-?[0-9]{1,18}$' })),
  currency: Type.Optional(Type.String({ pattern: '^[A-Z]{3}$' })),
  /** Bits of MARKS in schema/event.ts: bot, gpc, consentDenied, serverMessageId, clampedTime, serverTime, consentGiven. */
  marks: Type.Integer({ minimum: 0 }),
  /** Of track, page, screen and alias. */
  properties: Type.Optional(Anything),
  /** Of identify and group. */
  traits: Type.Optional(Anything),
  /** Enriched; nothing that was sent is overwritten. */
  context: Type.Optional(Anything),
  integrations: Type.Optional(Anything),
  /** What ingest noted: `landing`, `ignoredUserId`, `note`. */
  millrace: Type.Optional(Anything),
})
export type ArchiveRecord = Static<typeof ArchiveRecord>
