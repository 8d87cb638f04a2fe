// Instants in queries: RFC 3339 with an offset, as everywhere.
import { parseEventTime } from '../domain/event-time.ts'
import { fail } from '../runtime/errors.ts'

/** Milliseconds since the epoch; throws `invalid_request` that names the field. */
export function instantAt(text: string, field: string): number {
  const ms = parseEventTime(text)
  if (ms === undefined)
    throw fail('invalid_request', `${field} is no instant: expected one such as 2026-12-24T00:00:00Z`, {
      field,
    })
  return ms
}
