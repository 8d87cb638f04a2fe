// The body of ingest: normalise every message, hand the events on in batches whose ids follow from the input's, and
// leave what cannot be normalised in failed_events without holding up its neighbours.
import { normalise } from '../../domain/normalise.ts'
import { archive, ingest, persist } from '../../queues/pipeline.ts'
import type { CollectedBatch, CollectedRequest } from '../../schema/collected.ts'
import type { NormalBatch, NormalEvent } from '../../schema/event.ts'
import { recordGaps } from '../../store/archive.ts'
import { type FailedEvent, recordFailedEvents } from '../../store/failed-events.ts'
import type { PoolDeps } from '../define.ts'

const MAX_EVENTS_PER_BATCH = 500

type Deps = PoolDeps<typeof persist | typeof archive>

export async function ingestBatch(batch: CollectedBatch, deps: Deps): Promise<void> {
  const { events, failed } = normaliseAll(batch, deps.config.futureToleranceMs)
  await recordFailedEvents(deps.sql, failed)
  const batches = inBatches(batch.batchId, events)
  await Promise.all([handToArchive(batches, deps), deps.send(persist, batches)])
  deps.metrics.events.inc({ stage: 'ingest', verdict: 'normalised' }, events.length)
  if (failed.length > 0) deps.metrics.events.inc({ stage: 'ingest', verdict: 'failed' }, failed.length)
}

function normaliseAll(
  batch: CollectedBatch,
  futureToleranceMs: number,
): { events: NormalEvent[]; failed: FailedEvent[] } {
  const events: NormalEvent[] = []
  const failed: FailedEvent[] = []
  batch.requests.forEach((request, requestNo) => {
    request.messages.forEach((message, messageNo) => {
      try {
        events.push(normalise(message, request, futureToleranceMs))
      } catch (error) {
        const place = `${batch.batchId}-f${requestNo}-${messageNo}`
        failed.push(failedMessage(request, message, place, error))
      }
    })
  })
  return { events, failed }
}

/** `place` is the same for every attempt of the job: one failure, one row. */
function failedMessage(
  request: CollectedRequest,
  message: Record<string, unknown>,
  place: string,
  error: unknown,
): FailedEvent {
  const again: CollectedBatch = { v: 1, batchId: place, requests: [{ ...request, messages: [message] }] }
  return {
    failedKey: `${ingest.name}-${place}`,
    stage: ingest.name,
    code: 'invalid_event',
    reason: error instanceof TypeError ? error.message : 'the message could not be normalised',
    sourceId: request.sourceId,
    messageId: typeof message.messageId === 'string' ? message.messageId : undefined,
    payload: JSON.stringify(again),
  }
}

function inBatches(batchId: string, events: NormalEvent[]): NormalBatch[] {
  const batches: NormalBatch[] = []
  for (let from = 0; from < events.length; from += MAX_EVENTS_PER_BATCH) {
    const part = from / MAX_EVENTS_PER_BATCH
    batches.push({
      v: 1,
      batchId: part === 0 ? batchId : `${batchId}-p${part}`,
      events: events.slice(from, from + MAX_EVENTS_PER_BATCH),
    })
  }
  return batches
}

/** Over its budget the archive gets a note instead: the sweep reads the events back from Postgres when there is room. */
async function handToArchive(batches: NormalBatch[], deps: Deps): Promise<void> {
  if (deps.depth.depthOf(archive.name).waiting <= archive.budget.maxWaitingJobs) {
    await deps.send(archive, batches)
    return
  }
  await recordGaps(
    deps.sql,
    batches.map((batch) => ({
      batchId: batch.batchId,
      events: batch.events.length,
      fromReceived: Math.min(...batch.events.map((event) => event.receivedAt)),
      toReceived: Math.max(...batch.events.map((event) => event.receivedAt)),
    })),
  )
}
