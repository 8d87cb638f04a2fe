// Watches a local deployment while a load test runs: events accepted and jobs waiting, second by second. What it writes is
// a recorded load for the simulator (simulate.ts --recorded).
import { cpuSecondsOf } from '../cli/bench/measure.ts'
import { jobsInFlow } from '../cli/demo/counts.ts'
import { lookAtEdge } from '../cli/edge.ts'
import { readRunState } from '../cli/run-state.ts'
import type { Target } from './target.ts'

export type Recording = {
  /** Lines `second,accepted events a second,jobs in the flow` below a header; empty where collectors cannot be asked. */
  csv: string
  /** CPU that the generator used, seconds. */
  generatorSeconds: number
}

/** Looks every second until `stop`. */
export function record(target: Target, generatorPid: number | undefined): { stop(): Promise<Recording> } {
  const state = readRunState(target.config.dataDir)
  const lines: string[] = []
  let generatorSeconds = 0
  let stopped = false
  const startedAt = performance.now()
  const loop = (async () => {
    let before = await lookAtEdge(state)
    while (!stopped) {
      await new Promise((resolve) => setTimeout(resolve, 1_000))
      if (generatorPid !== undefined)
        generatorSeconds = Math.max(generatorSeconds, cpuSecondsOf(generatorPid))
      const now = await lookAtEdge(state)
      if (before !== undefined && now !== undefined) {
        const rate = (now.events - before.events) / ((now.takenAt - before.takenAt) / 1_000)
        const second = Math.round((performance.now() - startedAt) / 1_000)
        lines.push(`${second},${Math.round(rate)},${await jobsInFlow(target.redis, target.config)}`)
      }
      before = now ?? before
    }
  })()
  return {
    async stop() {
      stopped = true
      await loop
      const csv = lines.length === 0 ? '' : `second,accepted events per second,jobs\n${lines.join('\n')}\n`
      return { csv, generatorSeconds }
    },
  }
}
