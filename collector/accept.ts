// Group commit at the edge: many concurrent requests share one `ingest` job and one write to Redis. A request is
// answered only after the write that holds it has resolved, i.e. Redis has it on disk. Owns the memory of what waits.
//
// Exits of a request: written → resolves. Redis refused or lost the write → its error. Deadline passed → 503, and the
// outcome is unknown: what had not been handed to Redis by then is dropped, what had may still land. The client sends
// again with the same message ids and persist keeps one.
import type { PayloadOf } from '../queues/define.ts'
import { ingest } from '../queues/pipeline.ts'
import type { Send } from '../queues/sender.ts'
import { coalesce } from '../runtime/coalesce.ts'
import { fail } from '../runtime/errors.ts'
import type { CollectedRequest } from '../schema/collected.ts'

/** A job stays small enough to parse, retry and look at, and large enough to carry its overhead. */
const JOB_MAX_BYTES = 256 * 1024
const JOB_MAX_EVENTS = 500
/** One write to Redis: a few jobs at most, so that a slow one does not hold up many requests. */
const WRITE_MAX_BYTES = 4 * JOB_MAX_BYTES
const PARALLEL_WRITES = 4
/** Parsed events take about four times their text; that is what the memory bound is about. */
const HEAP_FACTOR = 4
/** What a request costs beside its events: ids, address, user agent. */
const REQUEST_BYTES = 200

type Piece = { request: CollectedRequest; bytes: number; abandoned: boolean }

export type Acceptor = {
  /**
   * Resolves when all events of the request are on disk. `eventChars` are the relative sizes of its events, needed
   * only where `bytes` is more than fits a job. Rejects with `unavailable` when memory or time runs out.
   */
  accept(request: CollectedRequest, bytes: number, eventChars?: number[]): Promise<void>
  /** Writes what waits and settles when nothing is under way. */
  close(): Promise<void>
}

export function openAcceptor(options: {
  send: Send<typeof ingest>
  /** Makes batch ids unique across processes and restarts: [A-Za-z0-9_-], 8 characters or more. */
  idPrefix: string
  flushMs: number
  deadlineMs: number
  maxPendingBytes: number
}): Acceptor {
  let pendingBytes = 0
  let batches = 0
  const nextBatchId = () => {
    batches += 1
    return `${options.idPrefix}-${batches.toString(36)}`
  }
  const writes = coalesce<Piece>({
    maxWeight: WRITE_MAX_BYTES,
    maxWaitMs: options.flushMs,
    parallel: PARALLEL_WRITES,
    async flush(pieces) {
      const jobs = packJobs(pieces.filter((piece) => !piece.abandoned))
      if (jobs.length === 0) return
      await options.send(
        ingest,
        jobs.map((requests) => ({ v: 1, batchId: nextBatchId(), requests })),
      )
    },
  })

  return {
    accept(request, bytes, eventChars) {
      const held = bytes * HEAP_FACTOR
      if (pendingBytes + held > options.maxPendingBytes) {
        throw fail('unavailable', 'too many requests are waiting for the queue', { retryAfterS: 1 })
      }
      const pieces = splitRequest(request, bytes, eventChars)
      pendingBytes += held
      const adds = pieces.map((piece) => writes.add(piece, piece.bytes))
      const written = adds.length === 1 && adds[0] !== undefined ? adds[0] : settle(adds)
      return byDeadline(written, options.deadlineMs, {
        onSettled: () => {
          pendingBytes -= held
        },
        onLate: () => {
          for (const piece of pieces) piece.abandoned = true
        },
      })
    },
    close: () => writes.close(),
  }
}

/** Every part has to be in, and none may be under way when the caller is told of a failure. */
async function settle(adds: Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(adds)) {
    if (result.status === 'rejected') throw result.reason
  }
}

function byDeadline(
  written: Promise<void>,
  deadlineMs: number,
  on: { onSettled(): void; onLate(): void },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      on.onLate()
      reject(fail('unavailable', 'the queue did not answer in time; send again', { retryAfterS: 2 }))
    }, deadlineMs)
    written.then(
      () => {
        clearTimeout(timer)
        on.onSettled()
        resolve()
      },
      (error) => {
        clearTimeout(timer)
        on.onSettled()
        reject(error)
      },
    )
  })
}

/** Pieces in jobs, in order, each job within its bounds. */
function packJobs(pieces: Piece[]): PayloadOf<typeof ingest>['requests'][] {
  const jobs: CollectedRequest[][] = []
  let current: CollectedRequest[] = []
  let bytes = 0
  let events = 0
  for (const piece of pieces) {
    const count = piece.request.messages.length
    if (current.length > 0 && (bytes + piece.bytes > JOB_MAX_BYTES || events + count > JOB_MAX_EVENTS)) {
      jobs.push(current)
      current = []
      bytes = 0
      events = 0
    }
    current.push(piece.request)
    bytes += piece.bytes
    events += count
  }
  if (current.length > 0) jobs.push(current)
  return jobs
}

/** One piece where the request fits a job, else as many as are needed; sizes are shared out by `eventChars`. */
export function splitRequest(request: CollectedRequest, bytes: number, eventChars?: number[]): Piece[] {
  const { messages } = request
  if (bytes <= JOB_MAX_BYTES && messages.length <= JOB_MAX_EVENTS) {
    return [{ request, bytes: bytes + REQUEST_BYTES, abandoned: false }]
  }
  const totalChars = eventChars?.reduce((sum, chars) => sum + chars, 0) ?? messages.length
  const bytesPerChar = bytes / Math.max(1, totalChars)
  const pieces: Piece[] = []
  let from = 0
  let size = 0
  const cut = (to: number) => {
    pieces.push({
      request: { ...request, messages: messages.slice(from, to) },
      bytes: size + REQUEST_BYTES,
      abandoned: false,
    })
    from = to
    size = 0
  }
  for (let i = 0; i < messages.length; i++) {
    const eventBytes = (eventChars?.[i] ?? 1) * bytesPerChar
    if (i > from && (size + eventBytes > JOB_MAX_BYTES || i - from >= JOB_MAX_EVENTS)) cut(i)
    size += eventBytes
  }
  cut(messages.length)
  return pieces
}
