// Samples how full the queues and Redis are, a few times a second while there is work and less often when idle. Gates
// (collector, workers) read the last sample from memory, so looking costs no round trip.
import type { Redis } from 'ioredis'
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

const EMPTY: LaneDepth = { waiting: 0, active: 0, delayed: 0, failed: 0, oldestAgeMs: 0 }

/** One look at the given queues: one pipeline for the counts, one for the ages of those that have waiting jobs. */
export async function sampleQueues(
  redis: Redis,
  namespace: string,
  names: string[],
  nowMs: number,
): Promise<Sample> {
  const counts = redis.pipeline()
  for (const name of names) {
    const key = `${queuePrefix(namespace, name)}:${name}`
    counts
      .llen(`${key}:wait`)
      .llen(`${key}:active`)
      .zcard(`${key}:delayed`)
      .zcard(`${key}:failed`)
      .lindex(`${key}:wait`, -1)
    counts.llen(`${key}:paused`).zcard(`${key}:prioritized`)
  }
  counts.info('memory')
  const replies = (await counts.exec()) ?? []
  const valueAt = (index: number): unknown => {
    const reply = replies[index]
    if (reply === undefined || reply[0] !== null) throw reply?.[0] ?? new Error('Connection is closed.')
    return reply[1]
  }
  const lanes = new Map<string, LaneDepth>()
  const heads: { name: string; jobId: string }[] = []
  names.forEach((name, i) => {
    const at = i * 7
    lanes.set(name, {
      waiting: Number(valueAt(at)) + Number(valueAt(at + 5)) + Number(valueAt(at + 6)),
      active: Number(valueAt(at + 1)),
      delayed: Number(valueAt(at + 2)),
      failed: Number(valueAt(at + 3)),
      oldestAgeMs: 0,
    })
    const head = valueAt(at + 4)
    if (typeof head === 'string' && head !== '') heads.push({ name, jobId: head })
  })
  await readAges(redis, namespace, heads, lanes, nowMs)
  const memory = String(valueAt(names.length * 7))
  return {
    takenAt: nowMs,
    reachable: true,
    lanes,
    usedMemoryBytes: Number(/used_memory:(\d+)/.exec(memory)?.[1] ?? 0),
    maxMemoryBytes: Number(/maxmemory:(\d+)/.exec(memory)?.[1] ?? 0),
  }
}

async function readAges(
  redis: Redis,
  namespace: string,
  heads: { name: string; jobId: string }[],
  lanes: Map<string, LaneDepth>,
  nowMs: number,
): Promise<void> {
  if (heads.length === 0) return
  const pipeline = redis.pipeline()
  for (const { name, jobId } of heads)
    pipeline.hget(`${queuePrefix(namespace, name)}:${name}:${jobId}`, 'timestamp')
  const replies = (await pipeline.exec()) ?? []
  heads.forEach(({ name }, i) => {
    const timestamp = Number(replies[i]?.[1] ?? 0)
    const lane = lanes.get(name)
    if (lane !== undefined && timestamp > 0) lane.oldestAgeMs = Math.max(0, nowMs - timestamp)
  })
}

export type DepthSampler = {
  /** The last sample; `reachable: false` before the first one and while Redis does not answer. */
  current(): Sample
  depthOf(queueName: string): LaneDepth
  close(): Promise<void>
}

/** Samples every `busyMs` while anything waits or is active, every `idleMs` otherwise. A sample that fails marks Redis unreachable. */
export function startSampler(options: {
  redis: Redis
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
  let pass: Promise<void> = Promise.resolve()

  const takeOne = async () => {
    try {
      sample = await sampleQueues(options.redis, options.namespace, options.names, Date.now())
    } catch {
      sample = { ...sample, reachable: false, takenAt: Date.now() }
    }
    if (closed) return
    const busy =
      !sample.reachable || [...sample.lanes.values()].some((lane) => lane.waiting + lane.active > 0)
    timer = setTimeout(
      () => {
        pass = takeOne()
      },
      busy ? options.busyMs : options.idleMs,
    )
  }
  pass = takeOne()
  return {
    ready: pass,
    current: () => sample,
    depthOf: (name) => sample.lanes.get(name) ?? EMPTY,
    async close() {
      closed = true
      clearTimeout(timer)
      await pass
    },
  }
}
