// How many are in each segment, and how many have entered and left, counted on from one snapshot by the changes after it:
// once a process for all who watch, and only while somebody does.

import { describeError } from '../../runtime/errors.ts'
import { createSignal, type Signal } from '../../runtime/signal.ts'
import { countMembersAt } from '../../store/feed.ts'
import { listSegments } from '../../store/segments.ts'
import type { Cursors } from './cursor.ts'
import type { FeedChange } from './message.ts'
import type { FeedSource, Tail } from './tail.ts'

export type Counter = {
  segment: number
  slug: string
  /** Since the counting began. */
  entered: number
  left: number
  members: number
}

export type Counters = {
  /** Resolves when it counts; rejects, and holds nothing, when Postgres does not answer. */
  hold(): Promise<void>
  release(): void
  /** Of all segments that are live or have members. */
  all(): Iterable<Counter>
  /** Raised when any has changed. */
  changed: Signal
}

const LOOK_EVERY_MS = 1000

export function openCounters(source: FeedSource, tail: Tail, cursors: Cursors): Counters {
  const changed = createSignal()
  let counters = new Map<number, Counter>()
  let holders = 0
  let counting: Promise<{ stop(): void }> | undefined

  const count = async () => {
    await tail.hold()
    try {
      const { members, position } = await countMembersAt(source.servers)
      const own = new Map<number, Counter>()
      for (const { segmentId, slug } of await listSegments(source.servers.home))
        own.set(segmentId, counterOf(segmentId, slug, members.get(segmentId)))
      for (const [segmentId, size] of members)
        if (!own.has(segmentId)) own.set(segmentId, counterOf(segmentId, String(segmentId), size))
      counters = own
      const cursor = cursors.open(position)
      let isOver = false
      const follow = async () => {
        while (!isOver) {
          const changes = await cursor.next(LOOK_EVERY_MS).catch(async (error: unknown) => {
            source.log.debug({ reason: describeError(error) }, 'counters wait for Postgres')
            await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
            return []
          })
          if (isOver || changes.length === 0) continue
          for (const change of changes) apply(own, change)
          changed.raise()
        }
        tail.release()
      }
      void follow()
      return {
        stop() {
          isOver = true
        },
      }
    } catch (error) {
      tail.release()
      throw error
    }
  }

  return {
    async hold() {
      holders += 1
      counting ??= count()
      const begun = counting
      try {
        await begun
      } catch (error) {
        if (counting === begun) counting = undefined
        holders -= 1
        throw error
      }
    },
    release() {
      holders -= 1
      if (holders > 0) return
      counting?.then(
        (one) => one.stop(),
        () => {},
      )
      counting = undefined
    },
    all: () => counters.values(),
    changed,
  }
}

function counterOf(segment: number, slug: string, members = 0): Counter {
  return { segment, slug, entered: 0, left: 0, members }
}

function apply(counters: Map<number, Counter>, { segment, slug, op }: FeedChange): void {
  const counter = counters.get(segment) ?? counterOf(segment, slug)
  counters.set(segment, counter)
  counter.slug = slug
  if (op === 'enter') {
    counter.entered += 1
    counter.members += 1
  } else {
    counter.left += 1
    counter.members -= 1
  }
}
