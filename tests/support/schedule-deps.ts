// What a task of the clock is given, out of a test's world; `nowMs` sets its clock.
import { manualClock } from '../../runtime/clock.ts'
import type { ScheduleDeps } from '../../workers/schedule/deps.ts'
import type { World } from './world.ts'

export const NEVER = new AbortController().signal

export function scheduleDeps(
  world: World,
  nowMs: number,
): ScheduleDeps & { clock: ReturnType<typeof manualClock> } {
  const { sql, servers, cache, config, log, metrics, depth } = world
  return {
    sql,
    servers,
    cache,
    config,
    log,
    metrics,
    depth,
    clock: manualClock(nowMs),
    send: world.sender.send,
    concurrency: 2,
  }
}
