// The one shape of long-running things: start happens in their constructor function, `quiet` stops taking new work,
// `stop` waits for the pass in flight. `runUntilSignal` drives them through SIGTERM and SIGINT with a deadline.
import type { Log } from './log.ts'

export type Service = {
  name: string
  /** Stop taking new work; returns at once or when nothing new can start. Optional for things that only serve. */
  quiet?(): Promise<void> | void
  /** Finish or hand back what is in flight, then release connections. */
  stop(): Promise<void>
}

/**
 * Stops services: `quiet` on all together, then `stop` one after the other in the order given (edges before workers
 * before producers before stores). Returns false when the deadline passed first; the caller then exits hard, and
 * unfinished jobs come back through BullMQ's stall recovery.
 */
export async function stopAll(services: Service[], deadlineMs: number, log: Log): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), deadlineMs)
  })
  const work = (async () => {
    await Promise.allSettled(services.map((service) => service.quiet?.()))
    for (const service of services) {
      try {
        await service.stop()
      } catch (error) {
        log.error(
          { service: service.name, err: error instanceof Error ? error.message : 'unknown' },
          'stop failed',
        )
      }
    }
    return true
  })()
  try {
    return await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
  }
}

/** A terminal sends Ctrl-C to the whole group, and npm passes its own on: within this time both are the same keystroke. */
const SAME_KEYSTROKE_MS = 500

/** Resolves with the name of the first of SIGINT, SIGTERM; a later one calls `onSecond` (usually: exit now). */
export function waitForSignal(onSecond: () => void): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let firstAtMs: number | undefined
    const onSignal = (signal: NodeJS.Signals) => {
      const nowMs = performance.now()
      if (firstAtMs === undefined) {
        firstAtMs = nowMs
        resolve(signal)
      } else if (nowMs - firstAtMs > SAME_KEYSTROKE_MS) onSecond()
    }
    process.on('SIGINT', onSignal)
    process.on('SIGTERM', onSignal)
  })
}
