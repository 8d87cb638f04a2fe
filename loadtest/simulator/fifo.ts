// A queue as a fluid: how many events wait, and since when the oldest has waited. Used by flow.ts, one a pool.

export type Fifo = {
  add(atSeconds: number, events: number): void
  /** Takes up to so many from the front; returns how many there were. */
  take(events: number): number
  waiting(): number
  /** Seconds that the oldest has waited; 0 when none waits. */
  ageAt(atSeconds: number): number
}

/** What is left of a division: no event. */
const NOTHING = 1e-6

export function openFifo(): Fifo {
  // One entry a time step while a backlog stands; those at the front go first.
  let entries: { at: number; events: number }[] = []
  let front = 0
  let total = 0
  return {
    add(at, events) {
      if (events <= 0) return
      entries.push({ at, events })
      total += events
    },
    take(wanted) {
      let taken = 0
      while (taken < wanted) {
        const entry = entries[front]
        if (entry === undefined) break
        const part = Math.min(entry.events, wanted - taken)
        entry.events -= part
        taken += part
        if (entry.events > NOTHING) break
        front += 1
      }
      total = Math.max(0, total - taken)
      if (front === entries.length) {
        entries = []
        front = 0
        total = 0
      } else if (front > 1_000) {
        entries = entries.slice(front)
        front = 0
      }
      return taken
    },
    waiting: () => total,
    ageAt: (atSeconds) => {
      const oldest = entries[front]
      return oldest === undefined ? 0 : Math.max(0, atSeconds - oldest.at)
    },
  }
}
