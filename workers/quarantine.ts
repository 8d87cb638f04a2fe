// Keeps a job that may end its process apart from the others: while such a suspect runs, nothing else of this process is
// under way, so that a death can have no other cause and takes no other job along. Used by run.ts alone.
import { setTimeout as sleep } from 'node:timers/promises'
import { RetryLater } from '../runtime/errors.ts'

/** What is needed of a lane's worker (queues/resting-worker.ts): take no new jobs, take them again, how many it holds. */
export type LaneWorker = {
  pause(doNotWaitActive: boolean): Promise<void>
  resume(): Promise<void>
  held(): number
}

export type Quarantine = {
  /** A worker of this process, paused while a suspect runs. */
  add(worker: LaneWorker): void
  /** Throws `RetryLater` while a suspect has the process: whatever is not at work yet is to go back to its queue. */
  passOrGoBack(): void
  /** Runs the suspect when the others have left; for QUARANTINE_MS at most, then the workers take jobs beside it. */
  alone<T>(suspect: () => Promise<T>): Promise<T>
}

/** A job that does no harm within this time, or others that take longer to leave, hold up the process no longer. */
const QUARANTINE_MS = 10_000
/** Those who were sent back return at different times after this, most of them when the suspect is done. */
const BACK_AFTER_MS = 500
const LOOK_EVERY_MS = 10

/** One a process, for all of its pools. */
export function createQuarantine(): Quarantine {
  const workers: LaneWorker[] = []
  let holder: symbol | undefined

  async function open(mine: symbol): Promise<void> {
    if (holder !== mine) return
    holder = undefined
    await Promise.all(workers.map((worker) => worker.resume()))
  }
  function passOrGoBack(): void {
    if (holder === undefined) return
    throw new RetryLater(
      BACK_AFTER_MS * (1 + Math.random()),
      'a job that has stalled has the process to itself',
    )
  }
  return {
    add: (worker) => {
      workers.push(worker)
    },
    passOrGoBack,
    async alone(suspect) {
      passOrGoBack()
      const mine = Symbol('suspect')
      holder = mine
      const timer = setTimeout(() => void open(mine), QUARANTINE_MS)
      try {
        await Promise.all(workers.map((worker) => worker.pause(true)))
        const held = () => workers.reduce((sum, worker) => sum + worker.held(), 0)
        while (held() > 1 && holder === mine) await sleep(LOOK_EVERY_MS)
        return await suspect()
      } finally {
        clearTimeout(timer)
        await open(mine)
      }
    },
  }
}
