// millrace status: a row a pool (or a queue with --all). Rates come from two looks a second apart.
import { parseOptions } from '../args.ts'
import { type System, withSystem } from '../connect.ts'
import { onInterrupt, sleep } from '../interrupt.ts'
import type { CliIo } from '../io.ts'
import { look, type Report, reportOf, type StatusRow } from '../status-report.ts'
import { paint, REDRAW, shortAge, table } from '../table.ts'

const LOOK_MS = 1_000

export async function run(args: string[], io: CliIo): Promise<number> {
  const { options } = parseOptions(args, { all: 'boolean', watch: 'boolean', json: 'boolean' })
  return withSystem(io, async (system) => {
    const interrupt = onInterrupt()
    try {
      let before = await look(system)
      do {
        await sleep(LOOK_MS, interrupt.signal)
        const now = await look(system)
        const report = reportOf(before, now, system.config.shards, options.all === true)
        before = now
        if (options.json) io.write(`${JSON.stringify(report)}\n`)
        else io.write((options.watch && io.isTerminal ? REDRAW : '') + render(report, system, io))
      } while (options.watch && !interrupt.signal.aborted)
    } finally {
      interrupt.release()
    }
    return 0
  })
}

function render({ collector, pools, redis }: Report, { config, state }: System, io: CliIo): string {
  const right = (title: string) => ({ title, align: 'right' as const })
  const columns = [
    { title: 'POOL' },
    right('PROCESSES'),
    right('WAITING'),
    right('ACTIVE'),
    right('DELAYED'),
    right('FAILED'),
    right('OLDEST'),
    right('RATE'),
    { title: 'STATE' },
  ]
  const cells = pools.map((row) => [
    row.queues.length > 1 ? `${row.pool} (${row.queues.length} queues)` : row.pool,
    row.processes === null ? '?' : String(row.processes),
    String(row.waiting),
    String(row.active),
    String(row.delayed),
    row.failed === 0 ? '0' : paint(String(row.failed), 'red', io.colours),
    shortAge(row.oldestAgeMs),
    row.jobsPerSecond === 0 ? '-' : `${row.jobsPerSecond.toFixed(1)} jobs/s`,
    stateOf(row, io),
  ])
  if (collector !== null) {
    const rate = collector.eventsPerSecond === 0 ? '-' : `${collector.eventsPerSecond} events/s`
    cells.unshift(['collector', String(collector.processes), '-', '-', '-', '-', '-', rate, 'running'])
  }
  const megabytes = (bytes: number) => `${Math.round(bytes / 1048576)} MB`
  const memory = `Redis ${megabytes(redis.usedMemoryBytes)} of ${megabytes(redis.maxMemoryBytes)}`
  const where = state === undefined || state.httpUrl === '' ? '' : `, collector and API at ${state.httpUrl}`
  return `${table(columns, cells)}${memory}, namespace ${config.namespace}${where}\n`
}

function stateOf(row: StatusRow, io: CliIo): string {
  if (row.paused === row.queues.length) return paint('paused', 'yellow', io.colours)
  if (row.paused > 0) return paint(`${row.paused} paused`, 'yellow', io.colours)
  return row.processes === 0 ? paint('no worker', 'yellow', io.colours) : 'running'
}
