// What `millrace status` shows, as data: who works on which queue, what waits and for how long, how fast it goes. Read from
// Redis, so it is the same on every host; only the collector, which has no queue, is asked for its own count.
import { addedCounts, countWorkers } from '../queues/activity.ts'
import { pausedQueues } from '../queues/control.ts'
import { queueNames } from '../queues/define.ts'
import { type LaneDepth, type Sample, sampleQueues } from '../queues/depth.ts'
import { allQueueNames, PIPELINE } from '../queues/pipeline.ts'
import type { System } from './connect.ts'
import { type EdgeLook, lookAtEdge } from './edge.ts'

export type Look = {
  sample: Sample
  added: Map<string, number>
  workers: Map<string, number> | undefined
  paused: Set<string>
  edge: EdgeLook | undefined
}
export type StatusRow = LaneDepth & {
  pool: string
  queues: string[]
  /** Processes with a worker on it; null when Redis does not tell. */
  processes: number | null
  jobsPerSecond: number
  /** How many of `queues` are paused. */
  paused: number
}

export type Report = {
  /** Null where it is not known where collectors run. */
  collector: { processes: number; eventsPerSecond: number } | null
  pools: StatusRow[]
  redis: { usedMemoryBytes: number; maxMemoryBytes: number }
}

/** One look at everything; two of them make a report. */
export async function look({ redis, config, state }: System): Promise<Look> {
  const names = allQueueNames(config.shards)
  const [sample, added, workers, paused, edge] = await Promise.all([
    sampleQueues(redis, config.namespace, names, Date.now()),
    addedCounts(redis, config.namespace, names),
    countWorkers(redis, config.namespace, names),
    pausedQueues(redis, config.namespace, names),
    lookAtEdge(state),
  ])
  return { sample, added, workers, paused, edge }
}

/** What changed between two looks; a row a contract, or a row a queue with `unfolded`. */
export function reportOf(before: Look, now: Look, shards: number, unfolded: boolean): Report {
  const { usedMemoryBytes, maxMemoryBytes } = now.sample
  return {
    collector: edgeOf(before.edge, now.edge),
    pools: statusRows(before, now, shards, unfolded),
    redis: { usedMemoryBytes, maxMemoryBytes },
  }
}

function edgeOf(before: EdgeLook | undefined, now: EdgeLook | undefined): Report['collector'] {
  if (before === undefined || now === undefined) return null
  const seconds = Math.max(0.001, (now.takenAt - before.takenAt) / 1000)
  return {
    processes: now.processes,
    eventsPerSecond: Math.max(0, Math.round((now.events - before.events) / seconds)),
  }
}

function statusRows(before: Look, now: Look, shards: number, unfolded: boolean): StatusRow[] {
  return PIPELINE.flatMap((contract) => {
    const names = queueNames(contract, shards)
    // Channels differ, shards do not: deliver is shown by channel always.
    const isFolded = !unfolded && contract.name !== 'deliver'
    return isFolded
      ? [rowOf(contract.name, names, before, now)]
      : names.map((name) => rowOf(name, [name], before, now))
  })
}

function rowOf(pool: string, queues: string[], before: Look, now: Look): StatusRow {
  const lanes = queues.map((name) => now.sample.lanes.get(name)).filter((lane) => lane !== undefined)
  const sum = (pick: (lane: LaneDepth) => number) => lanes.reduce((total, lane) => total + pick(lane), 0)
  const seconds = Math.max(0.001, (now.sample.takenAt - before.sample.takenAt) / 1000)
  const finished = queues.reduce((total, name) => total + finishedOn(name, now) - finishedOn(name, before), 0)
  return {
    pool,
    queues,
    processes: processesOf(queues, now),
    waiting: sum((lane) => lane.waiting),
    active: sum((lane) => lane.active),
    delayed: sum((lane) => lane.delayed),
    failed: sum((lane) => lane.failed),
    oldestAgeMs: Math.max(0, ...lanes.map((lane) => lane.oldestAgeMs)),
    jobsPerSecond: Math.max(0, Math.round((finished / seconds) * 10) / 10),
    paused: queues.filter((name) => now.paused.has(name)).length,
  }
}

/** Jobs that are done: added ones that are nowhere any more. */
function finishedOn(name: string, { sample, added }: Look): number {
  const lane = sample.lanes.get(name)
  const present = lane === undefined ? 0 : lane.waiting + lane.active + lane.delayed + lane.failed
  return (added.get(name) ?? 0) - present
}

function processesOf(queues: string[], { workers }: Look): number | null {
  if (workers === undefined) return null
  return Math.max(0, ...queues.map((name) => workers.get(name) ?? 0))
}
