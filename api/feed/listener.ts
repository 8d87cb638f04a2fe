// Serving one listener until it goes, is cut off, or the process stops: changes as they come, or counters four times a second.
import { afterChanges, encodePosition } from '../../domain/feed-position.ts'
import type { Counter, Counters } from './counters.ts'
import type { Cursor } from './cursor.ts'
import type { Filter } from './filter.ts'
import { type FeedChange, textOf } from './message.ts'
import type { Message, Sink } from './sinks.ts'

export type FeedPace = {
  /** Silence after which something is said. */
  heartbeatMs: number
  /** How often it is asked whether the listener's key still holds: revoking one is promised within 5 s. */
  checkMs: number
  /** A listener that takes nothing for so long is cut off. */
  slowMs: number
}
export const PACE: FeedPace = { heartbeatMs: 15_000, checkMs: 2000, slowMs: 30_000 }

/** Each with its position: what a listener that is cut off gets again at most. */
const MESSAGES_A_WRITE = 50
const COUNTERS_EVERY_MS = 250

type Listening = {
  sink: Sink
  filter: Filter
  pace: FeedPace
  /** False when the key it came with is revoked. */
  mayStay(): Promise<boolean>
  sent(event: Message['event'], messages: number): void
}

export async function followChanges(listening: Listening, cursor: Cursor): Promise<void> {
  const { sink, filter, pace, mayStay, sent } = listening
  let position = cursor.position()
  let said = position
  let saidAt = performance.now()
  while (await isWelcome(sink, mayStay)) {
    const changes = await cursor.next(pace.checkMs)
    const wanted = await filter.pick(changes)
    for (let at = 0; at < changes.length; at += MESSAGES_A_WRITE) {
      const some = changes.slice(at, at + MESSAGES_A_WRITE)
      position = afterChanges(position, some)
      const messages = messagesOf(
        some.filter((change) => wanted.has(change)),
        encodePosition(position),
      )
      if (messages.length === 0) continue
      await sink.send(messages)
      if (!sink.isOpen()) return
      sent('change', messages.length)
      said = position
      saidAt = performance.now()
    }
    if (performance.now() - saidAt < pace.heartbeatMs) continue
    sink.beat(said === position ? undefined : encodePosition(position))
    said = position
    saidAt = performance.now()
  }
}

/** The last has the position after all of them. */
function messagesOf(changes: FeedChange[], id: string): Message[] {
  const last = changes.length - 1
  return changes.map((change, i) => ({
    event: 'change',
    data: textOf(change),
    ...(i === last ? { id } : {}),
  }))
}

/** First all of them, then those that have changed; `entered` and `left` = since the message before. */
export async function followCounters(listening: Listening, counters: Counters): Promise<void> {
  const { sink, filter, pace, mayStay, sent } = listening
  const known = new Map<number, Counter>()
  for (const counter of counters.all()) known.set(counter.segment, { ...counter })
  let toSay = [...known.values()].map((counter) => ({ ...counter, entered: 0, left: 0 }))
  let isFirst = true
  let saidAt = performance.now()
  while (await isWelcome(sink, mayStay)) {
    const seen = counters.changed.count()
    const segments = toSay.filter(
      ({ segment }) => filter.segmentId === undefined || segment === filter.segmentId,
    )
    if (isFirst || segments.length > 0) {
      await sink.send([{ event: 'counters', data: JSON.stringify({ segments }) }])
      sent('counters', 1)
      isFirst = false
      saidAt = performance.now()
    } else if (performance.now() - saidAt >= pace.heartbeatMs) {
      sink.beat(undefined)
      saidAt = performance.now()
    }
    await new Promise((resolve) => setTimeout(resolve, COUNTERS_EVERY_MS))
    await counters.changed.wait(seen, pace.checkMs)
    toSay = changesSince(known, counters.all())
  }
}

function changesSince(known: Map<number, Counter>, now: Iterable<Counter>): Counter[] {
  const changed: Counter[] = []
  for (const counter of now) {
    const before = known.get(counter.segment)
    const entered = counter.entered - (before?.entered ?? 0)
    const left = counter.left - (before?.left ?? 0)
    if (entered === 0 && left === 0) continue
    known.set(counter.segment, { ...counter })
    changed.push({ ...counter, entered, left })
  }
  return changed
}

async function isWelcome(sink: Sink, mayStay: () => Promise<boolean>): Promise<boolean> {
  if (!sink.isOpen()) return false
  if (await mayStay()) return sink.isOpen()
  sink.end('unauthorized')
  return false
}
