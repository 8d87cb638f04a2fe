// One run of a task: take its row (which is its lock), keep the row alive, do the work, write the counts.
import { describeError } from '../../runtime/errors.ts'
import { beginRun, extendRun, finishRun } from '../../store/schedule-runs.ts'
import type { ScheduleDeps } from './deps.ts'
import type { Task, TaskName } from './tasks.ts'

/** Does nothing while another process runs the task. Throws what the task threw, after noting it in its row. */
export async function runTask(
  work: Task,
  name: TaskName,
  deps: ScheduleDeps,
  signal: AbortSignal,
): Promise<void> {
  // Half the job's lock: when a job comes back from a dead process, its run is over too.
  const leaseMs = Math.ceil(deps.config.lockMs / 2)
  const runId = await beginRun(deps.sql, name, leaseMs)
  if (runId === undefined) return
  const lost = new AbortController()
  const heartbeat = setInterval(() => {
    extendRun(deps.sql, runId, leaseMs).then(
      (kept) => {
        if (!kept) lost.abort()
      },
      // A store that is away for longer than the lease costs the run; the next one does the work.
      () => {},
    )
  }, leaseMs / 3)
  try {
    const counts = await work(deps, AbortSignal.any([signal, lost.signal]))
    await finishRun(deps.sql, runId, { outcome: 'done', counts })
    deps.metrics.scheduleRuns.inc({ task: name, outcome: 'done' })
    if (name !== 'sweep') deps.log.info({ task: name, counts }, 'clock task done')
  } catch (error) {
    deps.metrics.scheduleRuns.inc({ task: name, outcome: 'failed' })
    await finishRun(deps.sql, runId, { outcome: 'failed', counts: {}, error: describeError(error) })
    throw error
  } finally {
    clearInterval(heartbeat)
  }
}
