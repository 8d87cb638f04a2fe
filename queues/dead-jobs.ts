// Jobs that BullMQ has given up on, as they lie in the failed set of their queue. Read by the sweep, which sees that each
// is in failed_events too, and removed by whoever has sent its payload again.
import { Job } from 'bullmq'
import { decodePayload } from './codec.ts'
import type { RedisClient } from './connection.ts'
import { queuePrefix } from './define.ts'
import { allQueueNames } from './pipeline.ts'
import { openQueue } from './sender.ts'

export type DeadJob = { jobId: string; payload: unknown; reason: string }

/** Under which key failed_events holds a dead job: all who record one agree on it, so it is recorded once. */
export function deadJobKey(lane: string, jobId: string): string {
  return `job-${lane}-${jobId}`
}

/** Which job a row of failed_events stands for; undefined when it is not a job. */
export function deadJobOf(failedKey: string, shards: number): { lane: string; jobId: string } | undefined {
  const lane = allQueueNames(shards).find((name) => failedKey.startsWith(`job-${name}-`))
  return lane === undefined ? undefined : { lane, jobId: failedKey.slice(`job-${lane}-`.length) }
}

/** Ids of the oldest failed jobs of a queue; cheap, without payloads. */
export function deadJobIds(
  redis: RedisClient,
  namespace: string,
  queue: string,
  limit: number,
): Promise<string[]> {
  return redis.zrange(`${queuePrefix(namespace, queue)}:${queue}:failed`, '0', String(limit - 1))
}

/** The jobs with these ids; those that are gone by now are left out. Payloads may be large: ask for few at a time. */
export async function readDeadJobs(
  redis: RedisClient,
  namespace: string,
  queueName: string,
  jobIds: string[],
): Promise<DeadJob[]> {
  const queue = openQueue(redis, namespace, queueName, true)
  try {
    const jobs = await Promise.all(jobIds.map((jobId) => Job.fromId(queue, jobId)))
    return jobs.flatMap((job) =>
      job === undefined
        ? []
        : [{ jobId: job.id ?? '', payload: decodePayload(job.data), reason: job.failedReason ?? '' }],
    )
  } finally {
    await queue.close()
  }
}

/** Removes failed jobs whose payload lives on elsewhere. Jobs that are running or waiting again are left alone. */
export async function removeDeadJobs(
  redis: RedisClient,
  namespace: string,
  queueName: string,
  jobIds: string[],
): Promise<number> {
  const queue = openQueue(redis, namespace, queueName, true)
  let removed = 0
  try {
    for (const jobId of jobIds) {
      const job = await Job.fromId(queue, jobId)
      if (job === undefined || (await job.getState()) !== 'failed') continue
      await job.remove()
      removed++
    }
    return removed
  } finally {
    await queue.close()
  }
}
