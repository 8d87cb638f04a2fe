// millrace status: a row a pool (or a queue with --all): who works on it, what waits and for how long, how fast it goes.
// Everything is read from Redis, so it shows the whole deployment from any host. Rates come from two looks a second apart.
import { addedCounts, countWorkers } from '../../queues/activity.ts'
import { pausedQueues } from '../../queues/control.ts'
import { queueNames } from '../../queues/define.ts'
import { type LaneDepth, type Sample, sampleQueues } from '../../queues/depth.ts'
import { allQueueNames, PIPELINE } from '../../queues/pipeline.ts'
import { parseOptions } from '../args.ts'
import { type System, withSystem } from '../connect.ts'
import { type EdgeLook, lookAtEdge } from '../edge.ts'
import { onInterrupt, sleep } from '../interrupt.ts'
import type { CliIo } from '../io.ts'
import { paint, REDRAW, shortAge, table } from '../table.ts'

const LOOK_MS = 1_000

type Look = {
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

export async function run(args: string[], io: CliIo): Promise<number> {
  const { options } = parseOptions(args, { all: 'boolean', watch: 'boolean', json: 'boolean' })
  return withSystem(io, async (system) => {
    const interrupt = onInterrupt()
    try {
      let before = await look(system)
      do {
        await sleep(LOOK_MS, interrupt.signal)
        const now = await look(system)
        const rows = statusRows(before, now, system.config.shards, options.all === true)
        before = now
        if (options.json) {
          const collector = edgeRate(before, now)
          io.write(`${JSON.stringify({ collector, pools: rows, redis: memoryOf(now.sample) })}\n`)
        }
        else io.write((options.watch && io.isTerminal ? REDRAW : '') + render(rows, now, system, io))
      } while (options.watch && !interrupt.signal.aborted)
    } finally {
      interrupt.release()
    }
    return 0
  })
}

async function look({ redis, config, state }: System): Promise<Look> {
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

/** A row a contract, or a row a queue with `unfolded`. */
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

const memoryOf = (sample: Sample) => ({
  usedMemoryBytes: sample.usedMemoryBytes,
  maxMemoryBytes: sample.maxMemoryBytes,
})

function render(rows: StatusRow[], { sample }: Look, { config, state }: System, io: CliIo): string {
  const right = (title: string) => ({ title, align: 'right' as const })
  const columns = [
    { title: 'POOL' },
    right('PROCESSES'),
    right('WAITING'),
    right('ACTIVE'),
    right('DELAYED'),
    right('FAILED'),
    right('OLDEST'),
    right('JOBS/S'),
    { title: 'STATE' },
  ]
  const cells = rows.map((row) => [
    row.queues.length > 1 ? `${row.pool} (${row.queues.length} queues)` : row.pool,
    row.processes === null ? '?' : String(row.processes),
    String(row.waiting),
    String(row.active),
    String(row.delayed),
    row.failed === 0 ? '0' : paint(String(row.failed), 'red', io.colours),
    shortAge(row.oldestAgeMs),
    row.jobsPerSecond === 0 ? '-' : row.jobsPerSecond.toFixed(1),
    stateOf(row, io),
  ])
  const megabytes = (bytes: number) => `${Math.round(bytes / 1048576)} MB`
  const memory = `Redis ${megabytes(sample.usedMemoryBytes)} of ${megabytes(sample.maxMemoryBytes)}`
  const where = state === undefined || state.httpUrl === '' ? '' : `, collector and API at ${state.httpUrl}`
  return `${table(columns, cells)}${memory}, namespace ${config.namespace}${where}\n`
}

function stateOf(row: StatusRow, io: CliIo): string {
  if (row.paused === row.queues.length) return paint('paused', 'yellow', io.colours)
  if (row.paused > 0) return paint(`${row.paused} paused`, 'yellow', io.colours)
  return row.processes === 0 ? paint('no worker', 'yellow', io.colours) : 'running'
}
