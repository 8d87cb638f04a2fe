// What a queue is to its producers: name, payload schema, key, attempts, retention and budget. No handlers, no SQL,
// no connections: queues/sender.ts turns a contract into jobs, workers/run.ts consumes it.
import type { Static, TSchema } from 'typebox'

export type QueueBudget = {
  /** Jobs waiting (a lane) over which producers wait instead of adding. */
  maxWaitingJobs: number
}

export type QueueContract<Name extends string = string, Payload extends TSchema = TSchema> = {
  name: Name
  payload: Payload
  /** Same input, same id: a re-sent output of a retried handler is one job while the first still exists. No ':' in it. */
  jobId(payload: Static<Payload>): string
  /** The lanes a queue is split into (`segment-00`, `deliver-push`); one queue with the plain name when absent. */
  lanes?: { all(shards: number): string[]; of(payload: Static<Payload>): string }
  /** Halves of a payload, for a job that stalled repeatedly; absent = cannot be split. */
  split?(payload: Static<Payload>): Static<Payload>[]
  insert: {
    attempts: number
    /** Delay before attempt n is drawn from (0, min(capMs, baseMs * 2^n)]: capped full jitter. */
    backoff: { baseMs: number; capMs: number }
    /** Failed jobs of payload queues are never removed by age or count (law 6). */
    keepFailed: boolean
  }
  budget: QueueBudget
}

export type PayloadOf<Q extends QueueContract> = Static<Q['payload']>

/** Declares a queue; the literal name and schema stay in its type so that `send` is checked per queue. */
export function defineQueue<const Name extends string, Payload extends TSchema>(
  contract: QueueContract<Name, Payload>,
): QueueContract<Name, Payload> {
  if (!/^[a-z][a-z-]*$/.test(contract.name)) throw new Error(`queue name ${contract.name} must be a-z and -`)
  return contract
}

/** Names of the BullMQ queues behind a contract, e.g. `segment-00` … `segment-15`. */
export function queueNames(contract: QueueContract, shards: number): string[] {
  return contract.lanes === undefined
    ? [contract.name]
    : contract.lanes.all(shards).map((lane) => `${contract.name}-${lane}`)
}

/** The BullMQ queue that a payload belongs on. */
export function queueNameOf<Q extends QueueContract>(contract: Q, payload: PayloadOf<Q>): string {
  return contract.lanes === undefined ? contract.name : `${contract.name}-${contract.lanes.of(payload)}`
}

/** All keys of one queue share a hash tag, so that a queue lives on one node of a Redis Cluster. */
export function queuePrefix(namespace: string, queueName: string): string {
  return `{${namespace}-${queueName}}`
}
