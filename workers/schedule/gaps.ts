// Events that the archive had no room for, read back from Postgres and put on its queue when there is room. A span is
// read whole, so events next to a gap may be archived twice: the row key on each line is what readers go by.
import { createHash } from 'node:crypto'
import { archive, ingest, persist } from '../../queues/pipeline.ts'
import { closeGaps, openGapSpan, readEventsReceived } from '../../store/archive.ts'
import type { ScheduleDeps } from './deps.ts'

const GAPS_AT_ONCE = 50
const EVENTS_A_JOB = 500
/** Added to the age of what still waits above: rows of a span must be committed before it is read. */
const SETTLED_MS = 60_000

/** Returns how many events were put on the queue. Stops when the archive is half full again. */
export async function fillArchiveGaps(deps: ScheduleDeps, signal: AbortSignal): Promise<number> {
  const { sql, servers, send } = deps
  let archived = 0
  while (hasRoom(deps) && !signal.aborted) {
    const before = settledBefore(deps)
    if (before === undefined) return archived
    const span = await openGapSpan(sql, { before, limit: GAPS_AT_ONCE })
    if (span === undefined) return archived
    // The same gaps make the same ids: a sweep that died half way sends the rest.
    const id = createHash('sha256').update(span.batchIds.join(' ')).digest('hex').slice(0, 24)
    let part = 0
    for await (const events of readEventsReceived(servers, span, EVENTS_A_JOB)) {
      signal.throwIfAborted()
      await send(archive, [{ v: 1, batchId: `gap-${id}-${part}`, events }])
      archived += events.length
      part++
    }
    await closeGaps(sql, span.batchIds)
  }
  return archived
}

/** Half the budget: beside what ingest adds meanwhile. A span is at most GAPS_AT_ONCE batches and what lies beside them. */
function hasRoom({ depth }: ScheduleDeps): boolean {
  return depth.depthOf(archive.name).waiting <= archive.budget.maxWaitingJobs / 2
}

/** What was received before this has met Postgres or failed_events; undefined while jobs above are being retried. */
function settledBefore({ depth, clock }: ScheduleDeps): Date | undefined {
  const above = [depth.depthOf(ingest.name), depth.depthOf(persist.name)]
  if (above.some((lane) => lane.delayed > 0)) return undefined
  const oldest = Math.max(...above.map((lane) => lane.oldestAgeMs))
  return new Date(clock.now() - oldest - SETTLED_MS)
}
