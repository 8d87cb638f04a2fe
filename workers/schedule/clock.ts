// What the schedule pool does when it opens and closes: sets the schedules, asks for what was missed while nothing ran,
// sets them again when Redis has lost them, and keeps the timer loop going.
import { schedule } from '../../queues/pipeline.ts'
import { countSchedules, upsertSchedules } from '../../queues/schedules.ts'
import { describeError } from '../../runtime/errors.ts'
import { inStep } from '../../runtime/rhythm.ts'
import type { ScheduleTask } from '../../schema/jobs.ts'
import { lastRuns } from '../../store/schedule-runs.ts'
import type { JobInfo } from '../define.ts'
import type { ScheduleDeps } from './deps.ts'
import { runTask } from './run-task.ts'
import { periodMs, TASKS, taskRows } from './tasks.ts'
import { startTimers } from './timers.ts'

export type Clock = { run(task: ScheduleTask['task'], job: JobInfo): Promise<void>; stop(): Promise<void> }

export async function openClock(deps: ScheduleDeps): Promise<Clock> {
  await setSchedules(deps)
  const timers = startTimers(deps)
  const watch = watchSchedules(deps)
  return {
    run: (task, job) => runTask(TASKS[task], task, deps, job.signal),
    async stop() {
      await Promise.all([timers.stop(), watch.stop()])
    },
  }
}

async function setSchedules(deps: ScheduleDeps): Promise<void> {
  await upsertSchedules(deps.cache.redis, deps.config.namespace, taskRows(deps.config))
  await askForMissed(deps)
}

/**
 * A Redis that was emptied, or replaced by one without its data, has lost the clock too: no sweep and no retention would
 * run until a process of this pool is started again. Looks as often as the most frequent task runs.
 */
function watchSchedules(deps: ScheduleDeps): { stop(): Promise<void> } {
  const { cache, config, log } = deps
  const look = async () => {
    try {
      if ((await countSchedules(cache.redis, config.namespace)) >= taskRows(config).length) return
      await setSchedules(deps)
      log.warn('Redis had lost the schedules: they are set again')
    } catch (error) {
      log.debug({ reason: describeError(error) }, 'the schedules cannot be looked at')
    }
  }
  let looking: Promise<void> | undefined
  const looks = inStep(config.sweepMs, () => {
    looking ??= look().finally(() => {
      looking = undefined
    })
  })
  return {
    async stop() {
      looks.stop()
      await looking
    },
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
