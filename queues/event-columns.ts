// The text form of a batch of events on a queue: its fields column by column as one JSON line, then two lines an event,
// `properties` and `envelope`, as the JSON texts they are. As JSON within JSON each would be escaped and unescaped once a
// hop, which costs more than all their other handling. Pure; called by queues/codec.ts.
import type { NormalBatch, NormalEvent } from '../schema/event.ts'

const FIELDS = [
  'messageId',
  'hash',
  'sourceId',
  'type',
  'name',
  'userId',
  'anonymousId',
  'previousId',
  'time',
  'receivedAt',
  'value',
  'currency',
  'marks',
  'traits',
] as const satisfies (keyof NormalEvent)[]

/** What is on the first line; a column that no event has is left out, null stands for "has none". */
type Head = { v: 1; batchId: string; columns: Partial<Record<(typeof FIELDS)[number], unknown[]>> }

/** JSON texts hold no line break: JSON.stringify escapes those within strings and adds none. */
export function writeEvents(batch: NormalBatch): string {
  const { events } = batch
  const head: Head = { v: batch.v, batchId: batch.batchId, columns: {} }
  for (const field of FIELDS) {
    if (events.some((event) => event[field] !== undefined))
      head.columns[field] = events.map((event) => event[field] ?? null)
  }
  const lines = [JSON.stringify(head)]
  for (const event of events) lines.push(event.properties, event.envelope)
  return lines.join('\n')
}

/** The batch again, to be checked against its schema like any payload. Throws on what `writeEvents` did not write. */
export function readEvents(text: string): unknown {
  const [first = '', ...texts] = text.split('\n')
  const head: Head = JSON.parse(first)
  const { columns } = head
  const events: Record<string, unknown>[] = []
  for (let i = 0; i < texts.length; i += 2) {
    // The same members in the same order for every event: objects of one shape are several times cheaper to read.
    const event: Record<string, unknown> = {
      messageId: columns.messageId?.[i / 2],
      hash: columns.hash?.[i / 2],
      sourceId: columns.sourceId?.[i / 2],
      type: columns.type?.[i / 2],
      name: columns.name?.[i / 2],
      userId: columns.userId?.[i / 2] ?? undefined,
      anonymousId: columns.anonymousId?.[i / 2] ?? undefined,
      previousId: columns.previousId?.[i / 2] ?? undefined,
      time: columns.time?.[i / 2],
      receivedAt: columns.receivedAt?.[i / 2],
      value: columns.value?.[i / 2] ?? undefined,
      currency: columns.currency?.[i / 2] ?? undefined,
      marks: columns.marks?.[i / 2],
      traits: columns.traits?.[i / 2] ?? undefined,
      properties: texts[i],
      envelope: texts[i + 1],
    }
    events.push(event)
  }
  return { v: head.v, batchId: head.batchId, events }
}
