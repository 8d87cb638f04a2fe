// All feeds of a process: what they share, how many there may be, and their end when the process stops.
import type { Position } from '../../domain/feed-position.ts'
import { describeError, fail } from '../../runtime/errors.ts'
import { openCounters } from './counters.ts'
import { openCursors } from './cursor.ts'
import type { Filter } from './filter.ts'
import { type FeedPace, followChanges, followCounters } from './listener.ts'
import type { Sink, Terms } from './sinks.ts'
import { type FeedSource, openTail } from './tail.ts'

export type Feeds = {
  /** For opening sinks. */
  terms: Terms
  /** Throws `too_many_listeners`. */
  mustHaveRoom(): void
  /** Serves a listener until either side ends it; `from` = null for counters. */
  serve(sink: Sink, asked: { filter: Filter; from: Position | null; mayStay(): Promise<boolean> }): void
  /** Ends all of them at once, and takes no more. */
  close(): void
}

export function openFeeds(source: FeedSource, options: { most: number; pace: FeedPace }): Feeds {
  const { metrics, log } = source
  const tail = openTail(source)
  const cursors = openCursors(source, tail)
  const counters = openCounters(source, tail, cursors)
  const open = new Set<Sink>()
  let isClosing = false
  const show = (sink: Sink) =>
    metrics.feedListeners.set(
      { transport: sink.transport },
      [...open].filter((one) => one.transport === sink.transport).length,
    )

  return {
    terms: {
      slowMs: options.pace.slowMs,
      ended: (reason) => metrics.feedEnds.inc({ reason }),
    },
    mustHaveRoom() {
      if (open.size >= options.most || isClosing)
        throw fail('too_many_listeners', `this process serves ${options.most} feeds`, { retryAfterS: 5 })
    },
    serve(sink, { filter, from, mayStay }) {
      if (isClosing) return sink.end('stopping')
      if (open.size >= options.most) return sink.end('full')
      open.add(sink)
      show(sink)
      sink.onClose(() => {
        open.delete(sink)
        show(sink)
      })
      const listening = {
        sink,
        filter,
        pace: options.pace,
        mayStay,
        sent: (event: 'change' | 'counters', messages: number) =>
          metrics.feedMessages.inc({ event }, messages),
      }
      const shared = from === null ? counters : tail
      const follow = async () => {
        await shared.hold()
        try {
          if (from === null) await followCounters(listening, counters)
          else await followChanges(listening, cursors.open(from))
        } finally {
          shared.release()
        }
      }
      follow().catch((error: unknown) => {
        // The client comes again and goes on from its last id: nothing is lost by ending here.
        log.warn({ reason: describeError(error) }, 'a feed ended early')
        sink.end('unavailable')
      })
    },
    close() {
      isClosing = true
      for (const sink of open) sink.end('stopping')
    },
  }
}
