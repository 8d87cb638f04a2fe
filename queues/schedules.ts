// The clock in Redis: BullMQ job schedulers that add a clock task when it is due, once for all processes. Set by the
// schedule pool when it opens, and again when Redis has lost them; a schedule that is no longer in the list is removed.
import type { ScheduleTask } from '../schema/jobs.ts'
import type { RedisClient } from './connection.ts'
import { schedule } from './pipeline.ts'
import { openQueue } from './sender.ts'

/** Every `everyMs`, or by a cron pattern in UTC. */
export type Due = { everyMs: number } | { cron: string }

/** Makes the schedules equal to `rows`. Safe to run from twenty processes at once. */
export async function upsertSchedules(
  redis: RedisClient,
  namespace: string,
  rows: { task: ScheduleTask['task']; due: Due }[],
): Promise<void> {
  const queue = openQueue(redis, namespace, schedule.name)
  try {
    for (const { task, due } of rows) {
      const repeat = 'everyMs' in due ? { every: due.everyMs } : { pattern: due.cron, tz: 'UTC' }
      await queue.upsertJobScheduler(task, repeat, {
        name: schedule.name,
        data: { v: 1, task } satisfies ScheduleTask,
        opts: {
          attempts: schedule.insert.attempts,
          backoff: { type: 'jittered' },
          removeOnComplete: true,
          removeOnFail: { count: 1000 },
        },
      })
    }
    const wanted = new Set<string>(rows.map((row) => row.task))
    for (const { key } of await queue.getJobSchedulers(0, -1)) {
      if (!wanted.has(key)) await queue.removeJobScheduler(key)
    }
  } finally {
    await queue.close()
  }
}

/** How many schedules Redis holds; fewer than were set when it lost its data. */
export async function countSchedules(redis: RedisClient, namespace: string): Promise<number> {
  const queue = openQueue(redis, namespace, schedule.name, true)
  try {
    return await queue.getJobSchedulersCount()
  } finally {
    await queue.close()
  }
}
