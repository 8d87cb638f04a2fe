// What the autoscaler prints: a table that is redrawn in a terminal, a line a decision elsewhere. Pure.
import type { CliIo } from '../io.ts'
import { paint, REDRAW, shortAge, table } from '../table.ts'
import type { PoolDecision } from './scaler.ts'

const HELD = {
  window: 'waits before it shrinks',
  policy: 'as fast as the policy allows',
  machine: '--max-processes is reached',
  limit: 'at its limit',
} as const

/** The whole table, drawn over the last one. */
export function tableOf(decisions: PoolDecision[], title: string, io: Pick<CliIo, 'colours'>): string {
  const right = (name: string) => ({ title: name, align: 'right' as const })
  const columns = [
    { title: 'POOL' },
    right('PROCESSES'),
    right('WANTED'),
    right('JOBS'),
    right('OLDEST'),
    right('DONE'),
    { title: 'WHY' },
  ]
  const rows = decisions.map((one) => [
    one.pool,
    one.from === one.to
      ? String(one.to)
      : paint(`${one.from} -> ${one.to}`, one.to > one.from ? 'green' : 'yellow', io.colours),
    String(one.wanted),
    String(one.load.jobs),
    shortAge(one.load.oldestAgeSeconds * 1_000),
    one.load.jobsPerSecond === 0 ? '-' : `${one.load.jobsPerSecond.toFixed(0)} jobs/s`,
    [reasonOf(one), ...(one.heldBy === null ? [] : [HELD[one.heldBy]])].join(', '),
  ])
  return `${REDRAW}${title}\n\n${table(columns, rows)}`
}

/** `12:00:05  persist  1 -> 2: 640 jobs wait`; empty where nothing changes. */
export function lineOf(decision: PoolDecision, at: Date, dryRun: boolean): string {
  const { pool, from, to } = decision
  if (from === to) return ''
  const verb = dryRun ? ' (not done: --dry-run)' : ''
  return `${at.toISOString().slice(11, 19)}  ${pool}  ${from} -> ${to}: ${reasonOf(decision)}${verb}\n`
}

function reasonOf({ signal, load, wanted }: PoolDecision): string {
  switch (signal) {
    case 'depth':
      return `${load.jobs} jobs ask for ${wanted}`
    case 'age':
      return `${shortAge(load.oldestAgeSeconds * 1_000)} of age ask for ${wanted}`
    case 'rate':
      return `${load.eventsPerSecond} events/s ask for ${wanted}`
    case 'done':
      return `${load.jobsPerSecond.toFixed(0)} jobs/s ask for ${wanted}`
    case null:
      return 'idle'
  }
}
