// What the schedule pool does when it opens and closes: sets the schedules, asks for what was missed while nothing ran,
// and keeps the timer loop going.
import { schedule } from '../../queues/pipeline.ts'
import { upsertSchedules } from '../../queues/schedules.ts'
import type { ScheduleTask } from '../../schema/jobs.ts'
import { lastRuns } from '../../store/schedule-runs.ts'
import type { JobInfo } from '../define.ts'
import type { ScheduleDeps } from './deps.ts'
import { runTask } from './run-task.ts'
import { periodMs, TASKS, taskRows } from './tasks.ts'
import { startTimers } from './timers.ts'

export type Clock = { run(task: ScheduleTask['task'], job: JobInfo): Promise<void>; stop(): Promise<void> }

export async function openClock(deps: ScheduleDeps): Promise<Clock> {
  await upsertSchedules(deps.cache.redis, deps.config.namespace, taskRows(deps.config))
  await askForMissed(deps)
  const timers = startTimers(deps)
  return {
    run: (task, job) => runTask(TASKS[task], task, deps, job.signal),
    stop: () => timers.stop(),
  }
}

/** A machine that was off at 03:00 does the work of 03:00 when it is on again. */
async function askForMissed(deps: ScheduleDeps): Promise<void> {
  const last = await lastRuns(deps.sql)
  const now = deps.clock.now()
  const missed = taskRows(deps.config).filter(({ task, due }) => (last.get(task) ?? 0) < now - periodMs(due))
  await deps.send(
    schedule,
    missed.map(({ task }) => ({ v: 1 as const, task })),
  )
}
