// How the collector does, for `status`: it has no queue of its own, so its processes are asked for their /metrics. Only a
// local `start` leaves a note of where they are.
import { PROCESS_METRICS } from '../runtime/metrics.ts'
import type { RunState } from './run-state.ts'

const PATIENCE_MS = 500

export type EdgeLook = { processes: number; takenAt: number; events: number }

/** Undefined when it is not known where collectors run, or when one does not answer. */
export async function lookAtEdge(state: RunState | undefined): Promise<EdgeLook | undefined> {
  const collectors = state?.metrics.filter(({ pools }) =>
    pools.some((pool) => pool.split(':')[0] === 'collector'),
  )
  if (collectors === undefined || collectors.length === 0) return undefined
  try {
    const counts = await Promise.all(collectors.map(({ url }) => acceptedEvents(url)))
    return {
      processes: collectors.length,
      takenAt: Date.now(),
      events: counts.reduce((sum, count) => sum + count, 0),
    }
  } catch {
    return undefined
  }
}

async function acceptedEvents(url: string): Promise<number> {
  const response = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(PATIENCE_MS) })
  const text = await response.text()
  const line = new RegExp(
    `^${PROCESS_METRICS.events.name}\\{(?=[^}]*stage="collector")(?=[^}]*verdict="accepted")[^}]*\\} (\\S+)`,
    'm',
  )
  return Number(line.exec(text)?.[1] ?? 0)
}
