// A window over events that are ascending by time, and how it moves with the instant that is asked for: what enters, what
// leaves, and when it changes next without new data. Pure.
import { startOfUnit } from './calendar.ts'
import { zoneOf } from './clock.ts'
import type { Facts, Occurrence } from './facts.ts'
import type { PlanWindow } from './plan-windows.ts'
import { NEVER, type Timed } from './timed.ts'

/** Events with after < time <= upTo. */
export type Span = { after: number; upTo: number }

export function spanAt(window: PlanWindow, atMs: number, facts: Facts): Span {
  switch (window.k) {
    case 'rolling':
      return { after: atMs - window.lastMs, upTo: atMs }
    case 'between':
      return { after: atMs - window.toMs, upTo: atMs - window.fromMs }
    case 'absolute':
      return { after: window.afterMs, upTo: Math.min(window.upToMs, atMs) }
    case 'lifetime':
      return { after: Number.NEGATIVE_INFINITY, upTo: atMs }
    case 'calendar': {
      const { offset = 0, count = 1 } = window
      const start = calendarStart(window, atMs, facts, offset - count + 1)
      const end = calendarStart(window, atMs, facts, offset + 1)
      return { after: start - 1, upTo: Math.min(end - 1, atMs) }
    }
    case 'since': {
      const anchors = facts.inputs[window.input] ?? NOTHING
      const upTo = firstAfter(anchors, atMs)
      const anchor = upTo === 0 ? undefined : anchors[window.pick === 'first' ? 0 : upTo - 1]
      // Without one the window is empty, and what was before now never comes into it: an anchor is still to come.
      return { after: anchor?.time ?? atMs, upTo: atMs }
    }
  }
}

const NOTHING: Occurrence[] = []

/** The next instant at which a window since an event begins anew: at that event, and with `last` at each that follows. */
function nextAnchor(
  { input, pick }: Extract<PlanWindow, { k: 'since' }>,
  { inputs }: Facts,
  atMs: number,
): number {
  const anchors = inputs[input] ?? NOTHING
  const next = firstAfter(anchors, atMs)
  return next > 0 && pick === 'first' ? NEVER : (anchors[next]?.time ?? NEVER)
}

function calendarStart(
  window: Extract<PlanWindow, { k: 'calendar' }>,
  atMs: number,
  facts: Facts,
  by: number,
): number {
  const { weekStart } = window
  const zone = zoneOf(window.tz, facts)
  return startOfUnit(atMs, window.unit, { zone, by, ...(weekStart === undefined ? {} : { weekStart }) })
}

/** A window that stands at an instant and moves forward over the events. */
export type Slide = {
  /** The events in it: from the one of this index up to, and without, the other. */
  readonly from: number
  readonly to: number
  moveTo(atMs: number): void
  /** The next instant after the one it stands at, at which an event enters or leaves; NEVER when none will. */
  next(): number
}

const NOBODY = { enter: () => {}, leave: () => {} }

/** Opens it at an instant; `on` is told each event that enters and each that leaves, once. */
export function slide(
  window: PlanWindow,
  events: Occurrence[],
  facts: Facts,
  atMs: number,
  on: { enter(event: Occurrence): void; leave(event: Occurrence): void } = NOBODY,
): Slide {
  let from = 0
  let to = 0
  let at = Number.NEGATIVE_INFINITY
  const timeOf = (index: number) => events[index]?.time ?? NEVER
  const opened: Slide = {
    get from() {
      return from
    },
    get to() {
      return to
    },
    moveTo(atMs) {
      at = atMs
      const { after, upTo } = spanAt(window, atMs, facts)
      // What lies before the window never counts again: it is passed over without being told.
      while (from === to && timeOf(to) <= after) {
        from += 1
        to += 1
      }
      while (timeOf(to) <= upTo) {
        const event = events[to]
        to += 1
        if (event !== undefined) on.enter(event)
      }
      while (from < to && timeOf(from) <= after) {
        const event = events[from]
        from += 1
        if (event !== undefined) on.leave(event)
      }
    },
    next() {
      const entering = timeOf(to)
      switch (window.k) {
        case 'rolling':
          return Math.min(from < to ? timeOf(from) + window.lastMs : NEVER, entering)
        case 'between':
          return Math.min(from < to ? timeOf(from) + window.toMs : NEVER, entering + window.fromMs)
        case 'absolute':
          return entering > window.upToMs ? NEVER : Math.max(entering, at + 1)
        case 'lifetime':
          return entering
        case 'since':
          if (from === to && entering === NEVER) return NEVER
          return Math.min(entering, nextAnchor(window, facts, at))
        case 'calendar': {
          if (from === to && entering === NEVER) return NEVER
          const boundary = calendarStart(window, at, facts, 1)
          return entering > at ? Math.min(entering, boundary) : boundary
        }
      }
    },
  }
  opened.moveTo(atMs)
  return opened
}

/** Moves a window that stands at the instant asked for from change to change, until `holdsNow` says something else. */
export function untilChange(window: Slide, holdsNow: () => boolean): Timed {
  const holds = holdsNow()
  for (let next = window.next(); next !== NEVER; next = window.next()) {
    window.moveTo(next)
    if (holdsNow() !== holds) return { holds, until: next }
  }
  return { holds, until: NEVER }
}

/** Index of the first event after an instant; events are ascending. */
export function firstAfter(events: Occurrence[], ms: number): number {
  let from = 0
  let to = events.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if ((events[middle]?.time ?? NEVER) <= ms) from = middle + 1
    else to = middle
  }
  return from
}
