// What the autoscaler sees of each pool that it may scale: backlog, age and rates out of two looks at the deployment.
import type { PoolLoad } from '../../domain/autoscale.ts'
import { type PoolScaling, SCALING } from '../../domain/scaling.ts'
import type { Report, StatusRow } from '../status-report.ts'

export type SeenPool = {
  scaling: PoolScaling
  load: PoolLoad
  /** Processes with a worker on its queues; null when Redis does not tell. */
  processes: number | null
}

/** Pools with queues, of which there may be more than one process. */
export function seenPools(report: Report): SeenPool[] {
  const eventsPerSecond = report.collector?.eventsPerSecond ?? 0
  return SCALING.filter((scaling) => scaling.queues !== null && scaling.maxReplicas > 1).map((scaling) => {
    const rows = report.pools.filter(
      (row) => row.pool === scaling.pool || row.pool.startsWith(`${scaling.pool}-`),
    )
    const sum = (of: (row: StatusRow) => number) => rows.reduce((total, row) => total + of(row), 0)
    // What is paused waits because somebody wants it to: more processes would not help.
    const running = rows.filter((row) => row.paused < row.queues.length)
    return {
      scaling,
      load: {
        jobs: running.reduce((total, row) => total + row.waiting + row.active, 0),
        oldestAgeSeconds: Math.max(0, ...running.map((row) => row.oldestAgeMs)) / 1_000,
        eventsPerSecond,
        jobsPerSecond: sum((row) => row.jobsPerSecond),
      },
      processes: rows.reduce<number | null>(
        (most, row) => (row.processes === null ? most : Math.max(most ?? 0, row.processes)),
        null,
      ),
    }
  })
}
