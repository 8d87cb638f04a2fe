// Jobs on the queues of shards that are no more: each is split by the present shards of its profiles and sent there. Called
// by `millrace reshard`, and by the sweep for what a process of the old number sent meanwhile.
import { Compile } from 'typebox/compile'
import { shardName, shardOfProfile } from '../domain/buckets.ts'
import { TouchedUsers } from '../schema/jobs.ts'
import { askQueues } from './ask.ts'
import { decodePayload } from './codec.ts'
import type { RedisClient } from './connection.ts'
import { queuePrefix } from './define.ts'
import { segment } from './pipeline.ts'
import { openQueue, type Send } from './sender.ts'

const SLICE_JOBS = 100
const check = Compile(TouchedUsers)

/** Queues of the shards from `shards` up to `most`. */
export function retiredLanes(shards: number, most: number): string[] {
  return Array.from(
    { length: Math.max(0, most - shards) },
    (_, i) => `${segment.name}-${shardName(shards + i)}`,
  )
}

/** Moves what waits there; jobs under way are left to their worker. Safe to repeat: a profile evaluated twice is the same. */
export async function moveRetiredJobs(options: {
  redis: RedisClient
  namespace: string
  send: Send<typeof segment>
  shards: number
  /** The largest number of shards there ever was. */
  most: number
}): Promise<number> {
  const { redis, namespace } = options
  const lanes = retiredLanes(options.shards, options.most)
  const waiting = await askQueues(redis, lanes, (pipeline, lane) => {
    const key = `${queuePrefix(namespace, lane)}:${lane}`
    pipeline.llen(`${key}:wait`).zcard(`${key}:delayed`).zcard(`${key}:prioritized`)
  })
  let moved = 0
  for (const lane of lanes) {
    const jobs = (waiting.get(lane) ?? []).reduce<number>((sum, count) => sum + Number(count), 0)
    if (jobs > 0) moved += await moveLane(lane, options)
  }
  return moved
}

async function moveLane(lane: string, options: Parameters<typeof moveRetiredJobs>[0]): Promise<number> {
  const queue = openQueue(options.redis, options.namespace, lane, true)
  let moved = 0
  try {
    for (;;) {
      const jobs = await queue.getJobs(['waiting', 'delayed', 'prioritized'], 0, SLICE_JOBS - 1)
      const before = moved
      for (const job of jobs) {
        await options.send(segment, split(decodePayload(job.data), options.shards))
        // Not removed = a worker has taken it meanwhile, and will be done with it.
        if (await job.remove().then(() => true, isLocked)) moved += 1
      }
      if (moved === before) return moved
    }
  } finally {
    await queue.close()
  }
}

function isLocked(error: unknown): false {
  if (error instanceof Error && error.message.includes('is locked by another worker')) return false
  throw error
}

function split(payload: unknown, shards: number): TouchedUsers[] {
  if (!check.Check(payload)) return []
  const { profileIds, eventIds, ...rest } = payload
  const places = profileIds.map((profileId, i) => ({ profileId, events: eventIds?.[i] ?? [] }))
  return [...Map.groupBy(places, (place) => shardOfProfile(place.profileId, shards))].map(
    ([shard, touched]) => ({
      ...rest,
      // Two retired shards may be one now: under the same id one of their jobs would be lost.
      batchId: `${rest.batchId.slice(0, 60)}-of-${rest.shard}`,
      shard,
      profileIds: touched.map((one) => one.profileId),
      ...(eventIds === undefined ? {} : { eventIds: touched.map((one) => one.events) }),
    }),
  )
}
