// What an operator does to a queue: pause and resume it, and look which are paused. Names are BullMQ queues, or the name
// of a contract for all its lanes (`segment` = segment-00 … segment-15). Used by API, CLI and dashboard.
import { askQueues } from './ask.ts'
import type { RedisClient } from './connection.ts'
import { type QueueContract, queueNames, queuePrefix } from './define.ts'
import { allQueueNames, PIPELINE } from './pipeline.ts'
import { openQueue } from './sender.ts'

/** The BullMQ queues that `name` stands for; empty when there is none of that name. */
export function queuesNamed(name: string, shards: number): string[] {
  const contract = PIPELINE.find((candidate) => candidate.name === name)
  if (contract !== undefined) return queueNames(contract, shards)
  return allQueueNames(shards).filter((candidate) => candidate === name)
}

/** The contract behind a queue (`segment-03` -> segment); undefined when there is none. */
export function contractOf(queueName: string, shards: number): QueueContract | undefined {
  const contracts: readonly QueueContract[] = PIPELINE
  return contracts.find(
    (contract) => contract.name === queueName || queueNames(contract, shards).includes(queueName),
  )
}

/** Pauses queues: jobs keep arriving and wait, those under way finish. */
export function pauseQueues(redis: RedisClient, namespace: string, names: string[]): Promise<void> {
  return onEach(redis, namespace, names, (queue) => queue.pause())
}

export function resumeQueues(redis: RedisClient, namespace: string, names: string[]): Promise<void> {
  return onEach(redis, namespace, names, (queue) => queue.resume())
}

/** Which of `names` are paused; one round trip. */
export async function pausedQueues(
  redis: RedisClient,
  namespace: string,
  names: string[],
): Promise<Set<string>> {
  const answers = await askQueues(redis, names, (pipeline, name) => {
    pipeline.hexists(`${queuePrefix(namespace, name)}:${name}:meta`, 'paused')
  })
  return new Set(names.filter((name) => answers.get(name)?.[0] === 1))
}

/** Observers' queue objects, closed after use; they share the caller's connection. */
async function onEach(
  redis: RedisClient,
  namespace: string,
  names: string[],
  act: (queue: ReturnType<typeof openQueue>) => Promise<unknown>,
): Promise<void> {
  for (const name of names) {
    const queue = openQueue(redis, namespace, name, true)
    try {
      await act(queue)
    } finally {
      await queue.close()
    }
  }
}
