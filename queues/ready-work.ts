// In which queues a live worker would be taking a job now. Read by the liveness of a process (cli/liveness.ts).
import { askQueues } from './ask.ts'
import type { RedisClient } from './connection.ts'
import { queuePrefix } from './define.ts'

/** BullMQ's score of a delayed job: its time shifted by 12 bits, which hold its place among jobs of the same millisecond. */
const DELAYED_SCORE = 0x1000

/** Those of `names` that are not paused and hold a waiting, a prioritised or an overdue delayed job. */
export async function queuesWithWork(
  redis: RedisClient,
  namespace: string,
  names: string[],
  nowMs: number,
): Promise<Set<string>> {
  const answers = await askQueues(redis, names, (pipeline, name) => {
    const key = `${queuePrefix(namespace, name)}:${name}`
    pipeline
      .hexists(`${key}:meta`, 'paused')
      .llen(`${key}:wait`)
      .zcard(`${key}:prioritized`)
      .zcount(`${key}:delayed`, '-inf', nowMs * DELAYED_SCORE)
  })
  return new Set(
    names.filter((name) => {
      const [paused, ...jobs] = (answers.get(name) ?? []).map(Number)
      return paused === 0 && jobs.some((count) => count > 0)
    }),
  )
}
