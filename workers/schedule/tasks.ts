// The clock's table of contents: every task, when it is due, and what it does. Tasks return their counts and may run
// again at any time; long ones stop between slices when `signal` says so.
import type { Due } from '../../queues/schedules.ts'
import type { Config } from '../../runtime/config.ts'
import type { ScheduleTask } from '../../schema/jobs.ts'
import type { Counts } from '../../store/schedule-runs.ts'
import type { ScheduleDeps } from './deps.ts'
import { checkDrift } from './drift.ts'
import { recomputeCuts } from './metric-cuts.ts'
import { closeSilentSessions, recomputeUserAggregates } from './people.ts'
import { applyRetention, makePartitionsAhead } from './retention.ts'
import { sweep } from './sweep.ts'

export type TaskName = ScheduleTask['task']
export type Task = (deps: ScheduleDeps, signal: AbortSignal) => Promise<Counts>

export const TASKS: Record<TaskName, Task> = {
  partitions: makePartitionsAhead,
  retention: applyRetention,
  'close-sessions': closeSilentSessions,
  'user-aggregates': recomputeUserAggregates,
  'segment-drift': checkDrift,
  'metric-cuts': recomputeCuts,
  sweep,
}

/** Times of day are UTC. */
export function taskRows(config: Config): { task: TaskName; due: Due }[] {
  return [
    { task: 'partitions', due: { cron: '0 * * * *' } },
    { task: 'retention', due: { cron: '0 3 * * *' } },
    { task: 'close-sessions', due: { cron: '0 */6 * * *' } },
    { task: 'user-aggregates', due: { cron: '0 2 * * *' } },
    { task: 'segment-drift', due: { cron: '30 * * * *' } },
    { task: 'metric-cuts', due: { cron: '20 * * * *' } },
    { task: 'sweep', due: { everyMs: config.sweepMs } },
  ]
}

const HOUR_MS = 3_600_000

/** How far apart two runs are at most, for finding out which were missed. Knows the patterns of the table only. */
export function periodMs(due: Due): number {
  if ('everyMs' in due) return due.everyMs
  const hour = due.cron.split(' ')[1] ?? '*'
  if (hour === '*') return HOUR_MS
  return hour.startsWith('*/') ? Number(hour.slice(2)) * HOUR_MS : 24 * HOUR_MS
}
