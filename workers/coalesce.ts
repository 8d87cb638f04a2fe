// Group commit of a pool: the payloads of many jobs share one flush, and each job is acknowledged only after the flush
// that holds its own rows has succeeded (law 1). Pools return it from `open`; the collector groups requests the same
// way, so the mechanism itself is runtime/coalesce.ts.
import { coalesce } from '../runtime/coalesce.ts'

export type JobGroups<Payload> = {
  /** Resolves when the rows of this payload are committed: the handler returns, the job is done. Rejects with its flush's error. */
  add(payload: Payload): Promise<void>
  /** Flushes what waits; settles when nothing is in flight. */
  close(): Promise<void>
}

export type GroupLimits<Payload> = {
  /** What a payload counts against `maxWeight`: its events, its profiles. */
  weigh(payload: Payload): number
  /** A group is flushed when it weighs this much … */
  maxWeight: number
  /** … or so long after its first payload. */
  maxWaitMs: number
  /** With it, three times what the last flush took, within these two: quick ones leave soon, slow ones gather more. */
  minWaitMs?: number
  /** Flushes at a time; payloads that arrive meanwhile gather for the next, so groups grow with the load. */
  parallel: number
}

/** Groups the payloads that a pool's handler is given; `flush` gets each payload exactly once an attempt. */
export function coalesceJobs<Payload>(
  limits: GroupLimits<Payload>,
  flush: (payloads: Payload[]) => Promise<void>,
): JobGroups<Payload> {
  const { weigh, ...rest } = limits
  const groups = coalesce<Payload>({ ...rest, flush })
  return { add: (payload) => groups.add(payload, weigh(payload)), close: () => groups.close() }
}
