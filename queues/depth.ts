// Samples how full some queues and Redis are: a few times a second while they hold work and somebody goes by it, at once
// when somebody reads a sample that has grown old, and hardly ever while nobody does. Gates (collector, workers) read the
// last sample from memory, so looking costs no round trip.
import { setTimeout as sleep } from 'node:timers/promises'
import { untilStep } from '../runtime/rhythm.ts'
import { askQueues } from './ask.ts'
import { type RedisClient, serversOf } from './connection.ts'
import { queuePrefix } from './define.ts'

export type LaneDepth = {
  waiting: number
  active: number
  delayed: number
  failed: number
  /** Age of the oldest waiting job, ms; 0 when none waits. */
  oldestAgeMs: number
}
export type Sample = {
  takenAt: number
  /** False while Redis does not answer: gates treat that as closed. */
  reachable: boolean
  lanes: Map<string, LaneDepth>
  usedMemoryBytes: number
  maxMemoryBytes: number
}

export const EMPTY_LANE: LaneDepth = { waiting: 0, active: 0, delayed: 0, failed: 0, oldestAgeMs: 0 }

/** One look at the given queues: a round trip for the counts, one for the ages of those that have waiting jobs. */
export async function sampleQueues(
  redis: RedisClient,
  namespace: string,
  names: string[],
  nowMs: number,
): Promise<Sample> {
  const keyOf = (name: string) => `${queuePrefix(namespace, name)}:${name}`
  const [counts, memory] = await Promise.all([
    askQueues(redis, names, (pipeline, name) => {
      const key = keyOf(name)
      pipeline
        .llen(`${key}:wait`)
        .llen(`${key}:paused`)
        .zcard(`${key}:prioritized`)
        .llen(`${key}:active`)
        .zcard(`${key}:delayed`)
        .zcard(`${key}:failed`)
        .lindex(`${key}:wait`, -1)
    }),
    readMemory(redis),
  ])
  const heads = new Map<string, string>()
  const lanes = new Map<string, LaneDepth>()
  for (const [name, [wait, paused, prioritized, active, delayed, failed, head]] of counts) {
    lanes.set(name, {
      waiting: Number(wait) + Number(paused) + Number(prioritized),
      active: Number(active),
      delayed: Number(delayed),
      failed: Number(failed),
      oldestAgeMs: 0,
    })
    if (typeof head === 'string' && head !== '') heads.set(name, head)
  }
  const ages = await askQueues(redis, [...heads.keys()], (pipeline, name) => {
    pipeline.hget(`${keyOf(name)}:${heads.get(name)}`, 'timestamp')
  })
  for (const [name, [timestamp]] of ages) {
    const lane = lanes.get(name)
    if (lane !== undefined && Number(timestamp) > 0) lane.oldestAgeMs = Math.max(0, nowMs - Number(timestamp))
  }
  return { takenAt: nowMs, reachable: true, lanes, ...memory }
}

/** Of the fullest server: a cluster takes no more for a queue when the one node that holds it is full. */
async function readMemory(redis: RedisClient): Promise<{ usedMemoryBytes: number; maxMemoryBytes: number }> {
  const servers = await Promise.all(
    serversOf(redis).map(async (server) => {
      const info = await server.info('memory')
      const usedMemoryBytes = Number(/used_memory:(\d+)/.exec(info)?.[1] ?? 0)
      const maxMemoryBytes = Number(/maxmemory:(\d+)/.exec(info)?.[1] ?? 0)
      return { usedMemoryBytes, maxMemoryBytes, share: usedMemoryBytes / Math.max(1, maxMemoryBytes) }
    }),
  )
  const [fullest] = servers.sort((a, b) => b.share - a.share)
  if (fullest === undefined) throw new Error('Connection is closed.')
  return { usedMemoryBytes: fullest.usedMemoryBytes, maxMemoryBytes: fullest.maxMemoryBytes }
}

export type DepthSampler = {
  /** The last sample, for who goes by it all the time; `reachable: false` before the first one and while Redis does not answer. */
  current(): Sample
  /** Throws for a queue that this process does not sample. */
  depthOf(queueName: string): LaneDepth
  /** The last sample, however old; nobody is counted as going by it. */
  peek(): Sample
  /** A sample no older than FRESH_MS, unless Redis leaves the question unanswered: then the last one, after half a second. */
  fresh(): Promise<Sample>
  close(): Promise<void>
}

/** Whoever reads an older sample gets it, and starts a look for the next reader. */
const FRESH_MS = 3000
/** So long after the last one who went by it the samples of a busy system come seldom again. */
const WATCHED_MS = 10_000
const ANSWER_WITHIN_MS = 500

/**
 * Samples `names` every `busyMs` while anything in them waits or is active and somebody reads, every `idleMs` otherwise,
 * sooner when asked. A sample that fails marks Redis unreachable.
 */
export function startSampler(options: {
  redis: RedisClient
  namespace: string
  names: string[]
  busyMs: number
  idleMs: number
}): DepthSampler & { ready: Promise<void> } {
  let sample: Sample = {
    takenAt: 0,
    reachable: false,
    lanes: new Map(),
    usedMemoryBytes: 0,
    maxMemoryBytes: 0,
  }
  let closed = false
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> | undefined
  let readAt = Date.now()
  const sampled = new Set(options.names)

  const look = () => {
    clearTimeout(timer)
    looking ??= takeOne().finally(() => {
      looking = undefined
      if (closed) return
      const isWatched = isBusy(sample) && Date.now() - readAt < WATCHED_MS
      timer = setTimeout(look, isWatched ? options.busyMs : untilStep(options.idleMs))
    })
    return looking
  }
  const takeOne = async () => {
    try {
      sample = await sampleQueues(options.redis, options.namespace, options.names, Date.now())
    } catch {
      sample = { ...sample, reachable: false, takenAt: Date.now() }
    }
  }
  const isOld = () => !closed && Date.now() - sample.takenAt > FRESH_MS
  const current = () => {
    readAt = Date.now()
    if (looking === undefined && isOld()) void look()
    return sample
  }
  return {
    ready: look(),
    current,
    depthOf(name) {
      if (!sampled.has(name)) throw new Error(`${name} is not sampled here`)
      return current().lanes.get(name) ?? EMPTY_LANE
    },
    peek: () => sample,
    async fresh() {
      if (isOld()) await Promise.race([look(), sleep(ANSWER_WITHIN_MS, undefined, { ref: false })])
      return sample
    },
    async close() {
      closed = true
      clearTimeout(timer)
      await looking
    },
  }
}

function isBusy({ reachable, lanes }: Sample): boolean {
  return !reachable || [...lanes.values()].some((lane) => lane.waiting + lane.active > 0)
}
