// A signal that wakes whoever waits for it, and that nobody misses: it is counted, and who waits says the last count seen.

export type Signal = {
  /** How often it was raised. */
  count(): number
  raise(): void
  /** Resolves once it was raised after `seen`, or after `ms`. */
  wait(seen: number, ms: number): Promise<void>
}

export function createSignal(): Signal {
  let raised = 0
  const waiting = new Set<() => void>()
  return {
    count: () => raised,
    raise() {
      raised += 1
      for (const wake of waiting) wake()
    },
    wait(seen, ms) {
      if (raised !== seen) return Promise.resolve()
      return new Promise((resolve) => {
        const wake = () => {
          clearTimeout(timer)
          waiting.delete(wake)
          resolve()
        }
        const timer = setTimeout(wake, ms)
        waiting.add(wake)
      })
    },
  }
}
