// What /healthz of a process says: its loop turns, and its pools take the work that is there. Looks by itself, so that a
// probe never waits for Redis; a Redis that is away, or that refuses, is no reason for a restart. Used by run-process.ts.
import type { DepthSampler } from '../queues/depth.ts'
import type { Service } from '../runtime/lifecycle.ts'
import type { Log } from '../runtime/log.ts'
import { inStep } from '../runtime/rhythm.ts'
import type { LaneProgress } from '../workers/progress.ts'

const LOOK_EVERY_MS = 30_000
/** Samples come every half a minute at the latest, also those that say that Redis does not answer. */
const LOOP_STOPPED_AFTER_MS = 75_000

export type WatchedPool = { name: string; lanes: string[]; progress: LaneProgress }
export type Liveness = Service & {
  isAlive(): boolean
  /** One look, which otherwise comes every half a minute. */
  look(nowMs: number): Promise<void>
}

export function startLiveness(options: {
  pools: WatchedPool[]
  depth: DepthSampler
  /** Queues in which a live worker would be taking a job; throws while Redis does not answer. */
  queuesWithWork: (names: string[], nowMs: number) => Promise<Set<string>>
  log: Log
}): Liveness {
  const { pools, depth, log } = options
  const startedMs = Date.now()
  let stuck: string[] = []
  let pass: Promise<void> = Promise.resolve()

  async function look(nowMs: number): Promise<void> {
    const { reachable, lanes } = depth.peek()
    const mayHoldWork = pools
      .flatMap((pool) => pool.lanes)
      .filter((name) => (lanes.get(name)?.waiting ?? 0) + (lanes.get(name)?.delayed ?? 0) > 0)
    let found = new Set<string>()
    try {
      if (reachable && mayHoldWork.length > 0) found = await options.queuesWithWork(mayHoldWork, nowMs)
    } catch {
      found = new Set()
    }
    const before = stuck.length
    stuck = pools.flatMap((pool) => pool.progress.stuckLanes(found, nowMs))
    if (before === 0 && stuck.length > 0) log.error({ lanes: stuck }, 'work waits and none is taken')
  }

  const looks = inStep(LOOK_EVERY_MS, () => {
    pass = pass.then(() => look(Date.now()))
  })
  return {
    name: 'liveness',
    look,
    isAlive: () =>
      stuck.length === 0 && Date.now() - Math.max(startedMs, depth.peek().takenAt) < LOOP_STOPPED_AFTER_MS,
    quiet() {
      // From here on nothing is taken any more, and rightly so.
      looks.stop()
      stuck = []
    },
    async stop() {
      looks.stop()
      await pass
      stuck = []
    },
  }
}
