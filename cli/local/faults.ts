// Planned misbehaviour of a sink, for tests: the next messages are refused, put off or cut, or all wait. One kind means
// the same on every channel; each sink says it in its own protocol.

/** `reject` = refused for good, `later` = a temporary failure, `cut` = kept, but the connection ends without an answer. */
export type Fault = 'reject' | 'later' | 'cut'

export type Faults = {
  failNext(count: number, how: Fault): void
  /** No answers from now on, as of a provider that hangs. */
  pause(): void
  resume(): void
  /** What the message at hand is to suffer; waits while paused. */
  next(): Promise<Fault | undefined>
}

export function createFaults(): Faults {
  const planned: { how: Fault; count: number }[] = []
  let gate: { opened: Promise<void>; open(): void } | undefined
  return {
    failNext: (count, how) => void (count > 0 && planned.push({ how, count })),
    pause() {
      if (gate !== undefined) return
      const { promise, resolve } = Promise.withResolvers<void>()
      gate = { opened: promise, open: resolve }
    },
    resume() {
      gate?.open()
      gate = undefined
    },
    async next() {
      while (gate !== undefined) await gate.opened
      const [first] = planned
      if (first === undefined) return undefined
      first.count -= 1
      if (first.count === 0) planned.shift()
      return first.how
    },
  }
}
