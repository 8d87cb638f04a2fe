// Finds jobs by what is in them: an id of a message or person, or the number of a profile. Looks at the raw text of jobs
// in small slices and stops at a budget, so that a search cannot hold up a full Redis. Reads only; used by the dashboard.
import { askQueues } from './ask.ts'
import { payloadText } from './codec.ts'
import type { RedisClient } from './connection.ts'
import { queuePrefix } from './define.ts'

export type Needle = {
  /** A message, user, anonymous, batch or job id. */
  id: string
  /** Numbers of the profiles that the id means. */
  profileIds: number[]
}

export type FoundJob = { queue: string; jobId: string; state: JobState }
export type FindResult = {
  jobs: FoundJob[]
  /** Jobs looked into, and jobs there were. */
  looked: number
  total: number
}

const STATES = [
  { state: 'active', list: true },
  { state: 'wait', list: true },
  { state: 'prioritized', list: false },
  { state: 'delayed', list: false },
  { state: 'failed', list: false },
] as const
export type JobState = (typeof STATES)[number]['state']

/** Jobs read in one round trip: at 128 KB each a slice stays under a few MB. */
const SLICE_JOBS = 25

/** Newest jobs of every state and queue first, until `maxJobs` were looked into, `maxMs` passed or `maxFound` found. */
export async function findJobs(
  redis: RedisClient,
  options: {
    namespace: string
    names: string[]
    needle: Needle
    maxJobs: number
    maxMs: number
    maxFound: number
  },
): Promise<FindResult> {
  const deadline = Date.now() + options.maxMs
  const matches = matcher(options.needle)
  const result: FindResult = { jobs: [], looked: 0, total: 0 }
  const places = await countPlaces(redis, options.namespace, options.names)
  result.total = places.reduce((sum, place) => sum + place.count, 0)
  for (const place of places) {
    for (let from = 0; from < place.count; from += SLICE_JOBS) {
      const isEnough = result.looked >= options.maxJobs || result.jobs.length >= options.maxFound
      if (isEnough || Date.now() > deadline) return result
      const slice = await readSlice(redis, place, from)
      result.looked += slice.length
      for (const { jobId, data } of slice) {
        if (result.jobs.length >= options.maxFound || !matches(jobId, data)) continue
        result.jobs.push({ queue: place.queue, jobId, state: place.state })
      }
    }
  }
  return result
}

async function readSlice(
  redis: RedisClient,
  place: Place,
  from: number,
): Promise<{ jobId: string; data: string }[]> {
  const ids = await readIds(redis, place, from)
  const reads = redis.pipeline()
  for (const id of ids) reads.hget(`${place.key}:${id}`, 'data')
  const replies = (await reads.exec()) ?? []
  return ids.map((jobId, i) => {
    const data = replies[i]?.[1]
    return { jobId, data: typeof data === 'string' ? payloadText(data) : '' }
  })
}

type Place = { queue: string; key: string; state: JobState; list: boolean; count: number }

async function countPlaces(redis: RedisClient, namespace: string, names: string[]): Promise<Place[]> {
  const answers = await askQueues(redis, names, (pipeline, name) => {
    const key = `${queuePrefix(namespace, name)}:${name}`
    for (const { state, list } of STATES) {
      if (list) pipeline.llen(`${key}:${state}`)
      else pipeline.zcard(`${key}:${state}`)
    }
  })
  return names
    .flatMap((queue) =>
      STATES.map((row, i) => ({
        ...row,
        queue,
        key: `${queuePrefix(namespace, queue)}:${queue}`,
        count: Number(answers.get(queue)?.[i] ?? 0),
      })),
    )
    .filter((place) => place.count > 0)
}

function readIds(redis: RedisClient, place: Place, from: number): Promise<string[]> {
  const key = `${place.key}:${place.state}`
  const to = from + SLICE_JOBS - 1
  return place.list ? redis.lrange(key, from, to) : redis.zrevrange(key, from, to)
}

const ID_MEMBERS = '"(?:messageId|userId|anonymousId|previousId|batchId|deliveryKey)"'

function matcher({ id, profileIds }: Needle): (jobId: string, data: string) => boolean {
  const quoted = JSON.stringify(id)
  const asMember = new RegExp(`${ID_MEMBERS}:${escapeRegExp(quoted)}`)
  const asProfile =
    profileIds.length === 0
      ? undefined
      : new RegExp(`"profileIds?":(?:\\[(?:[0-9]+,)*)?(?:${profileIds.join('|')})(?![0-9])`)
  // The plain search first: it is many times faster than the pattern and says no nearly always.
  return (jobId, data) =>
    jobId === id || (data.includes(quoted) && asMember.test(data)) || asProfile?.test(data) === true
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}
