// The newest changes, read from Postgres once a process for all who listen, and only while somebody does. Word from the
// segment pool makes it look at once; without word, as while Redis is away, it looks every second. Keeps the last few
// thousand changes: whoever has fallen behind them reads Postgres until it has caught up (cursor.ts).

import { hearChanges } from '../../cache/change-news.ts'
import type { Cache } from '../../cache/connect.ts'
import type { Clock } from '../../runtime/clock.ts'
import { describeError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import { createSignal, type Signal } from '../../runtime/signal.ts'
import { newestPosition } from '../../store/feed.ts'
import type { Servers } from '../../store/servers.ts'
import { type FeedChange, type FeedSlice, readFeed, type Slugs } from './message.ts'

export type FeedSource = {
  servers: Servers
  cache: Cache
  clock: Clock
  log: Log
  metrics: Metrics
  slugs: Slugs
}

export type Tail = {
  /** Resolves when it follows; rejects, and holds nothing, when Postgres does not answer. */
  hold(): Promise<void>
  /** Follows no more once everybody who holds it has let go. */
  release(): void
  /** Batches are numbered on; those from `oldest` up to, not including, `next` are there. */
  oldest(): number
  next(): number
  batch(number: number): readonly FeedChange[]
  /** Raised with every batch. */
  news: Signal
}

/** Changes of one lock that one look takes: at most 4,096 of all. */
export const CHANGES_A_LOCK = 32
const KEPT_CHANGES = 4096
const LOOK_EVERY_MS = 1000
/** Passes that end soon after each other are one look. */
const REST_MS = 50

export function openTail(source: FeedSource): Tail {
  const news = createSignal()
  let batches: FeedChange[][] = []
  let kept = 0
  let next = 0
  let holders = 0
  let following: Promise<{ stop(): void }> | undefined

  const append = (changes: FeedChange[]) => {
    batches.push(changes)
    next += 1
    kept += changes.length
    while (batches.length > 1 && kept > KEPT_CHANGES) kept -= batches.shift()?.length ?? 0
    const oldest = Math.min(...changes.map((change) => Date.parse(change.recordedAt)))
    source.metrics.feedSeconds.observe(Math.max(0, source.clock.now() - oldest) / 1000)
    news.raise()
  }

  return {
    async hold() {
      holders += 1
      following ??= follow(source, append)
      const begun = following
      try {
        await begun
      } catch (error) {
        if (following === begun) following = undefined
        holders -= 1
        throw error
      }
    },
    release() {
      holders -= 1
      if (holders > 0) return
      following?.then(
        (one) => one.stop(),
        () => {},
      )
      following = undefined
      batches = []
      kept = 0
    },
    oldest: () => next - batches.length,
    next: () => next,
    batch: (number) => batches[number - (next - batches.length)] ?? [],
    news,
  }
}

/** From the newest change of now on, until it is stopped. */
async function follow(
  source: FeedSource,
  append: (changes: FeedChange[]) => void,
): Promise<{ stop(): void }> {
  let position = await newestPosition(source.servers)
  let isOver = false
  const heard = createSignal()
  const words = hearChanges(source.cache, () => heard.raise())
  const look = async () => {
    let isAway = false
    while (!isOver) {
      const seen = heard.count()
      const read = await readOrFail(source, position)
      if (isOver) return
      if (read.failure !== undefined && !isAway)
        source.log.warn(
          { reason: describeError(read.failure) },
          'the feed cannot read changes; it tries again',
        )
      isAway = read.failure !== undefined
      position = read.position
      if (read.changes.length > 0) append(read.changes)
      if (isAway) await heard.wait(heard.count(), LOOK_EVERY_MS)
      else if (read.isWhole) {
        await new Promise((resolve) => setTimeout(resolve, REST_MS))
        await heard.wait(seen, LOOK_EVERY_MS - REST_MS)
      }
    }
  }
  void look()
  return {
    stop() {
      isOver = true
      words.stop()
      heard.raise()
    },
  }
}

async function readOrFail(source: FeedSource, position: FeedSlice['position']): Promise<FeedSlice> {
  try {
    return await readFeed(source, position, CHANGES_A_LOCK)
  } catch (failure) {
    return { changes: [], position, isWhole: false, failure }
  }
}
