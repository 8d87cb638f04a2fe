// What an operator does to a queue: pause and resume it, and look which are paused. Names are BullMQ queues, or the name
// of a contract for all its lanes (`segment` = segment-00 … segment-15). Used by API, CLI and dashboard.
import type { Redis } from 'ioredis'
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
export function pauseQueues(redis: Redis, namespace: string, names: string[]): Promise<void> {
  return onEach(redis, namespace, names, (queue) => queue.pause())
}

export function resumeQueues(redis: Redis, namespace: string, names: string[]): Promise<void> {
  return onEach(redis, namespace, names, (queue) => queue.resume())
}

/** Which of `names` are paused; one round trip. */
export async function pausedQueues(redis: Redis, namespace: string, names: string[]): Promise<Set<string>> {
  const pipeline = redis.pipeline()
  for (const name of names) pipeline.hexists(`${queuePrefix(namespace, name)}:${name}:meta`, 'paused')
  const replies = (await pipeline.exec()) ?? []
  const paused = new Set<string>()
  names.forEach((name, i) => {
    const reply = replies[i]
    if (reply === undefined || reply[0] !== null) throw reply?.[0] ?? new Error('Connection is closed.')
    if (reply[1] === 1) paused.add(name)
  })
  return paused
}

/** Observers' queue objects, closed after use; they share the caller's connection. */
async function onEach(
  redis: Redis,
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
