// Puts payloads on queues: the only producer of jobs. One BullMQ Queue object per lane, made when first used, all on
// one producer connection. Ids are deterministic, so sending the same payload again while it waits is one job.
import { type Job, Queue, type Telemetry } from 'bullmq'
import { encodePayload } from './codec.ts'
import { type RedisClient, serversOf } from './connection.ts'
import { type PayloadOf, type QueueContract, queueNameOf, queuePrefix } from './define.ts'

/** Sends payloads of the queues in `Produces` only: another queue does not compile. Resolves when Redis has them on disk. */
export type Send<Produces extends QueueContract> = <Q extends Produces>(
  queue: Q,
  payloads: PayloadOf<Q>[],
) => Promise<void>

export type Sender = {
  send: Send<QueueContract>
  /** As `send`, for halves of a job that may have ended its process: `isHalfOfSuspect` tells them. */
  sendHalves(queue: QueueContract, halves: unknown[]): Promise<void>
  /** As `send`, with another id: a replay must not meet the failed job of the first life. */
  resend<Q extends QueueContract>(queue: Q, payload: PayloadOf<Q>, idSuffix: string): Promise<void>
  close(): Promise<void>
}

/** Jobs of one addBulk: BullMQ pipelines them (not atomically), so a chunk that failed is sent again whole. */
const CHUNK_JOBS = 50

export function createSender(options: {
  redis: RedisClient
  namespace: string
  waitReplicas?: number
  telemetry?: Telemetry | undefined
}): Sender {
  const lanes = new Map<string, Queue>()
  const laneOf = (name: string): Queue => {
    let queue = lanes.get(name)
    if (queue === undefined) {
      queue = openQueue(options.redis, options.namespace, name, false, options.telemetry)
      lanes.set(name, queue)
    }
    return queue
  }

  async function send<Q extends QueueContract>(
    contract: Q,
    payloads: PayloadOf<Q>[],
    jobName = contract.name,
  ): Promise<void> {
    const byLane = new Map<string, ReturnType<typeof toJob>[]>()
    for (const payload of payloads) {
      const name = queueNameOf(contract, payload)
      const jobs = byLane.get(name)
      const job = toJob(contract, payload, contract.jobId(payload))
      job.name = jobName
      if (jobs === undefined) byLane.set(name, [job])
      else jobs.push(job)
    }
    const writes: Promise<unknown>[] = []
    for (const [name, jobs] of byLane) {
      for (let from = 0; from < jobs.length; from += CHUNK_JOBS) {
        writes.push(laneOf(name).addBulk(jobs.slice(from, from + CHUNK_JOBS)))
      }
    }
    await settleAll(writes)
    const replicas = options.waitReplicas ?? 0
    if (replicas > 0 && writes.length > 0) {
      const held = Math.min(
        ...(await Promise.all(serversOf(options.redis).map((server) => server.wait(replicas, 1000)))),
      )
      if (held < replicas) throw new Error(`READONLY only ${held} of ${replicas} replicas hold the write`)
    }
  }

  return {
    send: (queue, payloads) => send(queue, payloads),
    sendHalves: (queue, halves) => send(queue, halves as PayloadOf<typeof queue>[], halfName(queue.name)),
    async resend(contract, payload, idSuffix) {
      const job = toJob(contract, payload, `${contract.jobId(payload)}-${idSuffix}`)
      await laneOf(queueNameOf(contract, payload)).add(job.name, job.data, job.opts)
    },
    async close() {
      await Promise.allSettled([...lanes.values()].map((queue) => queue.close()))
    },
  }
}

const halfName = (queueName: string) => `${queueName} half`

/** Whether the job was sent by `sendHalves`. */
export function isHalfOfSuspect(job: Job): boolean {
  return job.name === halfName(job.queueName)
}

/** A BullMQ queue as producers and observers open it; `skipMetasUpdate` keeps observers from resetting stream caps. */
export function openQueue(
  redis: RedisClient,
  namespace: string,
  name: string,
  observer = false,
  telemetry?: Telemetry,
): Queue {
  const queue = new Queue(name, {
    connection: redis,
    prefix: queuePrefix(namespace, name),
    skipWaitingForReady: true,
    skipMetasUpdate: observer,
    streams: { events: { maxLen: 200 } },
    ...(telemetry === undefined ? {} : { telemetry }),
  })
  queue.on('error', () => {})
  return queue
}

function toJob<Q extends QueueContract>(contract: Q, payload: PayloadOf<Q>, jobId: string) {
  return {
    name: contract.name,
    data: encodePayload(payload),
    opts: {
      jobId,
      attempts: contract.insert.attempts,
      backoff: { type: 'jittered' as const },
      removeOnComplete: true,
      removeOnFail: contract.insert.keepFailed ? false : { count: 1000 },
      stackTraceLimit: 0,
      keepLogs: 0,
    },
  }
}

/** Waits for all, then throws the first failure: no write is still under way when the caller decides to retry. */
async function settleAll(writes: Promise<unknown>[]): Promise<void> {
  const results = await Promise.allSettled(writes)
  for (const result of results) if (result.status === 'rejected') throw result.reason
}
