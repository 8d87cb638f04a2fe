// What persist writes to failed_events: rows that Postgres refused and message ids that were used twice. The payload is
// the queue payload that sends the one event again.
import { persist } from '../../queues/pipeline.ts'
import { errorCodeOf } from '../../runtime/errors.ts'
import type { NormalBatch, NormalEvent } from '../../schema/event.ts'
import type { FailedEvent } from '../../store/failed-events.ts'

export function rejectedEvent(event: NormalEvent, error: unknown): FailedEvent {
  const sqlstate = errorCodeOf(error)
  return {
    failedKey: `${persist.name}-${event.messageId}-${event.hash}`,
    stage: persist.name,
    code: 'row_rejected',
    reason: /^[0-9A-Z]{5}$/.test(sqlstate)
      ? `Postgres refused the row with ${sqlstate}`
      : 'the row could not be written',
    sqlstate: sqlstate.slice(0, 5),
    sourceId: event.sourceId,
    messageId: event.messageId,
    payload: payloadOf(event),
  }
}

export function conflictingEvent(event: NormalEvent): FailedEvent {
  return {
    failedKey: `conflict-${event.messageId}-${event.hash}`,
    stage: persist.name,
    code: 'message_conflict',
    reason:
      'this messageId was used before with another payload; the first one is kept. Give every message its own id',
    sourceId: event.sourceId,
    messageId: event.messageId,
    payload: payloadOf(event),
  }
}

/** The queue payload that sends one event again. */
function payloadOf(event: NormalEvent): string {
  const batch: NormalBatch = { v: 1, batchId: `one-${event.hash.replace('-', 'n')}`, events: [event] }
  return JSON.stringify(batch)
}
