// The public form of an archived event: one JSON object, Segment field names, stable. What Pub/Sub messages, archive
// files and BigQuery rows hold. `rowKey` identifies the event: files and topics are at least once, readers deduplicate.
import type { NormalEvent } from './event.ts'

export type ArchiveRecord = {
  rowKey: string
  messageId: string
  type: NormalEvent['type']
  event: string
  userId: string | null
  anonymousId: string | null
  /** When it happened and when it was received: RFC 3339, UTC. */
  timestamp: string
  receivedAt: string
  sourceId: number
  /** Minor units of the currency, for purchases. */
  value: string | null
  currency: string | null
  /** Bits of schema/event.ts MARKS. */
  marks: number
  properties: unknown
  context: unknown
}

/** The record as JSON text; properties and context are carried as the text they are. */
export function archiveLine(event: NormalEvent): string {
  const { properties, envelope, ...head } = {
    rowKey: event.messageId,
    messageId: event.messageId,
    type: event.type,
    event: event.name,
    userId: event.userId ?? null,
    anonymousId: event.anonymousId ?? null,
    timestamp: new Date(event.time).toISOString(),
    receivedAt: new Date(event.receivedAt).toISOString(),
    sourceId: event.sourceId,
    value: event.value ?? null,
    currency: event.currency ?? null,
    marks: event.marks,
    properties: event.properties,
    envelope: event.envelope,
  }
  return `${JSON.stringify(head).slice(0, -1)},"properties":${properties},"context":${envelope}}`
}
