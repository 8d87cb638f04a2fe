// Group commit: many jobs, one flush. Each caller of `add` gets a promise that settles with the flush that holds its
// item, so a job is acknowledged only after its own rows are committed. Bounded by the callers: a pool adds at most
// `concurrency` jobs at a time, and each waits for its flush.

export type Coalescer<Item> = {
  /** Resolves when the flush with this item has succeeded; rejects with that flush's error. */
  add(item: Item, weight: number): Promise<void>
  /** Flushes what waits and settles when nothing is in flight. */
  close(): Promise<void>
}

/** A group that is not full gathers for so many times what the last flush took: that bounds what small flushes cost. */
const GATHERING_PER_FLUSH = 3

/**
 * Flushes when the waiting weight reaches `maxWeight`, or `maxWaitMs` after the first waiting item; with `minWaitMs`
 * sooner, down to that, as long as flushes are quick. While a flush is under way items gather for the next one, so the
 * group grows with the load; beside it, up to `parallel`, only full groups are flushed: many small flushes at a time
 * cost more and end later than few large ones.
 */
export function coalesce<Item>(options: {
  maxWeight: number
  maxWaitMs: number
  minWaitMs?: number
  parallel: number
  flush(items: Item[]): Promise<void>
}): Coalescer<Item> {
  type Waiting = {
    item: Item
    weight: number
    since: number
    resolve: () => void
    reject: (error: unknown) => void
  }
  let waiting: Waiting[] = []
  let waitingWeight = 0
  let timer: NodeJS.Timeout | undefined
  let running = 0
  let lastFlushMs = 0
  let idle: (() => void)[] = []

  const take = (): Waiting[] => {
    let weight = 0
    let count = 0
    for (const entry of waiting) {
      if (count > 0 && weight + entry.weight > options.maxWeight) break
      weight += entry.weight
      count += 1
    }
    const group = waiting.slice(0, count)
    waiting = waiting.slice(count)
    waitingWeight -= weight
    return group
  }

  const run = async () => {
    clearTimeout(timer)
    timer = undefined
    if (running >= options.parallel) return
    const group = take()
    if (group.length === 0) return
    running += 1
    const startedAt = performance.now()
    try {
      await options.flush(group.map((entry) => entry.item))
      for (const entry of group) entry.resolve()
    } catch (error) {
      for (const entry of group) entry.reject(error)
    } finally {
      running -= 1
      lastFlushMs = performance.now() - startedAt
      schedule()
      if (running === 0 && waiting.length === 0) {
        for (const resolve of idle) resolve()
        idle = []
      }
    }
  }

  const schedule = () => {
    const [first] = waiting
    if (first === undefined || running >= options.parallel) return
    if (waitingWeight >= options.maxWeight) void run()
    else if (running === 0 && timer === undefined) {
      const leftMs = first.since + gatheringMs() - performance.now()
      if (leftMs <= 0) void run()
      else timer = setTimeout(() => void run(), leftMs)
    }
  }

  const gatheringMs = () => {
    const { maxWaitMs, minWaitMs = maxWaitMs } = options
    return Math.min(maxWaitMs, Math.max(minWaitMs, lastFlushMs * GATHERING_PER_FLUSH))
  }

  return {
    add(item, weight) {
      return new Promise((resolve, reject) => {
        waiting.push({ item, weight, since: performance.now(), resolve, reject })
        waitingWeight += weight
        schedule()
      })
    },
    async close() {
      if (running === 0 && waiting.length === 0) return
      const done = new Promise<void>((resolve) => idle.push(resolve))
      if (running < options.parallel) void run()
      await done
    },
  }
}
