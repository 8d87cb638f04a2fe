// READ FIRST: the queues, in the order an event meets them. An event only ever moves down this file.
//
//   collector ─► ingest ─► persist ─► segment-NN ─► deliver-<channel>
//                   └────► archive
//   schedule (clock) enters from above; a run through everybody goes from chunk to chunk of segment-NN
import { shardName } from '../domain/buckets.ts'
import { CollectedBatch, type CollectedRequest } from '../schema/collected.ts'
import { NormalBatch } from '../schema/event.ts'
import { CHANNELS, DeliveryJob, ScheduleTask, TouchedUsers } from '../schema/jobs.ts'
import { defineQueue, type QueueContract, queueNames } from './define.ts'

/** Requests as the collector accepted them. */
export const ingest = defineQueue({
  name: 'ingest',
  payload: CollectedBatch,
  jobId: (batch) => `in-${batch.batchId}`,
  split: (batch) =>
    halvesOfRequests(batch.requests).map((requests, i) => ({
      ...batch,
      batchId: `${batch.batchId}-${i}`,
      requests,
    })),
  insert: { attempts: 10, backoff: { baseMs: 200, capMs: 30_000 }, keepFailed: true },
  budget: { maxWaitingJobs: 4_000 },
})

/** Events in the one form, on their way into Postgres. */
export const persist = defineQueue({
  name: 'persist',
  payload: NormalBatch,
  jobId: (batch) => `pe-${batch.batchId}`,
  split: (batch) =>
    halves(batch.events).map((events, i) => ({ ...batch, batchId: `${batch.batchId}-${i}`, events })),
  insert: { attempts: 10, backoff: { baseMs: 200, capMs: 30_000 }, keepFailed: true },
  budget: { maxWaitingJobs: 1_000 },
})

/** The same events, on their way to Pub/Sub, BigQuery or files. Over budget, ingest records a gap instead of waiting. */
export const archive = defineQueue({
  name: 'archive',
  payload: NormalBatch,
  jobId: (batch) => `ar-${batch.batchId}`,
  split: (batch) =>
    halves(batch.events).map((events, i) => ({ ...batch, batchId: `${batch.batchId}-${i}`, events })),
  insert: { attempts: 20, backoff: { baseMs: 500, capMs: 60_000 }, keepFailed: true },
  budget: { maxWaitingJobs: 500 },
})

/** The mailbox of each shard: which of its profiles were touched. */
export const segment = defineQueue({
  name: 'segment',
  payload: TouchedUsers,
  jobId: (batch) => `se-${batch.batchId}-${batch.shard}`,
  lanes: {
    all: (shards) => Array.from({ length: shards }, (_, shard) => shardName(shard)),
    of: (batch) => shardName(batch.shard),
  },
  insert: { attempts: 12, backoff: { baseMs: 200, capMs: 30_000 }, keepFailed: true },
  budget: { maxWaitingJobs: 2_000 },
})

/** The mailbox of each channel: one message a job. Over budget, changes stay unannounced and a sweep sends them later. */
export const deliver = defineQueue({
  name: 'deliver',
  payload: DeliveryJob,
  jobId: (job) => `de-${job.deliveryKey}-${job.channel}`,
  lanes: { all: () => [...CHANNELS], of: (job) => job.channel },
  insert: { attempts: 8, backoff: { baseMs: 1_000, capMs: 300_000 }, keepFailed: true },
  budget: { maxWaitingJobs: 50_000 },
})

/** Clock tasks, added by job schedulers of the schedule pool. */
export const schedule = defineQueue({
  name: 'schedule',
  payload: ScheduleTask,
  jobId: (task) => `sc-${task.task}`,
  insert: { attempts: 3, backoff: { baseMs: 1_000, capMs: 30_000 }, keepFailed: false },
  budget: { maxWaitingJobs: 1_000 },
})

export const PIPELINE = [
  ingest,
  persist,
  archive,
  segment,
  deliver,
  schedule,
] as const satisfies readonly QueueContract[]

/** Every BullMQ queue of a deployment, in flow order. */
export function allQueueNames(shards: number): string[] {
  return PIPELINE.flatMap((contract) => queueNames(contract, shards))
}

/** A single request is halved by its messages: one of them must not take the others with it. */
function halvesOfRequests(requests: CollectedRequest[]): CollectedRequest[][] {
  const [only] = requests
  if (requests.length !== 1 || only === undefined) return halves(requests)
  return halves(only.messages).map((messages) => [{ ...only, messages }])
}

function halves<T>(items: T[]): T[][] {
  if (items.length < 2) return [items]
  const middle = Math.ceil(items.length / 2)
  return [items.slice(0, middle), items.slice(middle)]
}
