// Asks Redis for what Postgres knows too, or tells it, without letting anybody wait for it: while it is not connected it is not
// asked, and after it was silent once, nobody asks it for a moment.
import type { Cache } from './connect.ts'

/** Of readers: some hundred times what an answer takes. Who waited so long asks Postgres. */
const PATIENCE_MS = 250
const LEFT_ALONE_MS = 1000

/** `isAway` = it was not asked, or did not answer. */
export type CacheAnswer<T> = { value: T | undefined; isAway: boolean }

export type CacheAsker = {
  cache: Cache
  ask<T>(question: (cache: Cache) => Promise<T>): Promise<CacheAnswer<T>>
  /** Nobody waits for it, and nobody learns whether it succeeded. */
  tell(order: (cache: Cache) => Promise<unknown>): void
}

const AWAY = { value: undefined, isAway: true }

export function createAsker(cache: Cache, { patienceMs = PATIENCE_MS } = {}): CacheAsker {
  let awayUntilMs = 0
  const isThere = () => cache.redis.status === 'ready' && performance.now() >= awayUntilMs

  return {
    cache,
    async ask(question) {
      if (!isThere()) return AWAY
      let timer: NodeJS.Timeout | undefined
      const patience = new Promise<undefined>((resolve) => {
        // An answer that came while this process was busy lies in the socket: it is read before the immediate.
        timer = setTimeout(() => setImmediate(resolve, undefined), patienceMs)
      })
      const answer = question(cache).then((value) => ({ value, isAway: false }))
      const first = await Promise.race([answer, patience]).catch(() => undefined)
      clearTimeout(timer)
      if (first !== undefined) return first
      answer.catch(() => {})
      awayUntilMs = performance.now() + LEFT_ALONE_MS
      return AWAY
    },
    tell(order) {
      if (isThere()) order(cache).catch(() => {})
    },
  }
}
