// Whether the workers of a pool still take jobs, lane by lane. A worker can lose its place at Redis without any error, and
// then only a restart helps. workers/run.ts tells what happens, cli/liveness.ts asks; nothing here needs Redis to be up.

/** Work that nobody here takes for so long is proof: a healthy worker that sleeps looks again every ten seconds. */
export const STUCK_AFTER_MS = 60_000

export type LaneProgress = {
  taken(lane: string): void
  finished(lane: string): void
  /** Redis answered the worker with an error: it does try, and a restart would not help it. */
  refused(lane: string): void
  /** The lanes that stood still for STUCK_AFTER_MS, given those in which there is work to take now. */
  stuckLanes(lanesWithWork: ReadonlySet<string>, nowMs: number): string[]
}

/** `idleSinceMs`: the first look since which there was work here and none of it under way; undefined while it flows. */
type Lane = { name: string; underWay: number; idleSinceMs: number | undefined }

export function trackProgress(names: string[]): LaneProgress {
  const lanes = new Map(
    names.map((name): [string, Lane] => [name, { name, underWay: 0, idleSinceMs: undefined }]),
  )
  const moved = (name: string, underWay: number) => {
    const lane = lanes.get(name)
    if (lane === undefined) return
    lane.underWay += underWay
    lane.idleSinceMs = undefined
  }
  return {
    taken: (name) => moved(name, 1),
    finished: (name) => moved(name, -1),
    refused: (name) => moved(name, 0),
    stuckLanes(lanesWithWork, nowMs) {
      return [...lanes.values()].flatMap((lane) => {
        if (lane.underWay > 0 || !lanesWithWork.has(lane.name)) {
          lane.idleSinceMs = undefined
          return []
        }
        lane.idleSinceMs ??= nowMs
        return nowMs - lane.idleSinceMs >= STUCK_AFTER_MS ? [lane.name] : []
      })
    },
  }
}
