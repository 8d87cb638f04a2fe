// Reads about many queues at once. On one server all of it is one pipeline; in a cluster each queue lives on one node
// (its keys share a hash tag), so each gets a pipeline of its own, side by side. Used by the sampler, status and search.
import type { ChainableCommander } from 'ioredis'
import type { RedisClient } from './connection.ts'

/** What `ask` put on the pipeline for each queue is answered in that order, by queue; throws the first error. */
export async function askQueues(
  redis: RedisClient,
  names: string[],
  ask: (pipeline: ChainableCommander, name: string) => void,
): Promise<Map<string, unknown[]>> {
  const answers = new Map<string, unknown[]>()
  const groups = redis.isCluster ? names.map((name) => [name]) : [names]
  await Promise.all(
    groups.map(async (group) => {
      const pipeline = redis.pipeline()
      const ends = group.map((name) => {
        ask(pipeline, name)
        return pipeline.length
      })
      if (pipeline.length === 0) return
      const replies = (await pipeline.exec()) ?? []
      group.forEach((name, i) => {
        const from = i === 0 ? 0 : (ends[i - 1] ?? 0)
        const own = Array.from({ length: (ends[i] ?? 0) - from }, (_, j) => replyOf(replies[from + j]))
        answers.set(name, own)
      })
    }),
  )
  return answers
}

/** ioredis answers an interrupted pipeline with fewer replies. */
function replyOf(reply: [error: Error | null, result: unknown] | undefined): unknown {
  if (reply === undefined || reply[0] !== null) throw reply?.[0] ?? new Error('Connection is closed.')
  return reply[1]
}
