// Ordered steps with gaps between them, on the same product where asked, and then something that did not happen. Pure.
//
// A chain is one event a step, each later than the one before. It holds at an instant when some chain lies in the window
// and, with `none`, its deadline has passed without such an event. Asked anew at each instant at which that can change: an
// event enters or leaves the window, a deadline passes. One look takes time in proportion to the events.
import type { Facts, Occurrence } from './facts.ts'
import type { SequenceLeaf } from './plan.ts'
import { NEVER, type Timed } from './timed.ts'
import { type Span, slide, spanAt } from './windows.ts'

/** Instants that are looked at for the next change, fewer where somebody has very many events; the last is a wake-up. */
const LOOK_AHEAD = 200
const EVENTS_LOOKED_AT = 2_000_000

export function evaluateSequence(leaf: SequenceLeaf, facts: Facts, atMs: number): Timed {
  const sequence = prepare(leaf, facts)
  const holds = holdsAt(sequence, atMs)
  const moves = changesAfter(sequence, atMs)
  const looks = Math.max(1, Math.min(LOOK_AHEAD, Math.floor(EVENTS_LOOKED_AT / (moves.events + 1))))
  for (let look = 1; ; look++) {
    const next = moves.next()
    if (next === NEVER || look >= looks || holdsAt(sequence, next) !== holds) return { holds, until: next }
  }
}

/** Events by the values that they must share with the first step, ascending by time. */
type ByValues = Map<string, Occurrence[]>
type Prepared = {
  leaf: SequenceLeaf
  facts: Facts
  starts: Occurrence[]
  steps: { events: ByValues; withinMs: number; same: string[] }[]
  none: { events: ByValues; withinMs: number; same: string[]; toNow: boolean } | undefined
}

function prepare(leaf: SequenceLeaf, facts: Facts): Prepared {
  const [first, ...others] = leaf.steps
  const eventsOf = (input: number) => facts.inputs[input] ?? []
  const { none } = leaf
  return {
    leaf,
    facts,
    starts: eventsOf(first?.input ?? -1),
    steps: others.map(({ input, withinMs = NEVER, same }) => ({
      events: byValues(eventsOf(input), same),
      withinMs,
      same,
    })),
    none:
      none === undefined
        ? undefined
        : {
            events: byValues(eventsOf(none.input), none.same),
            withinMs: none.withinMs,
            same: none.same,
            toNow: none.until === 'now',
          },
  }
}

function byValues(events: Occurrence[], same: string[]): ByValues {
  if (same.length === 0) return new Map([['', events]])
  const found: ByValues = new Map()
  for (const event of events) {
    const key = valuesOf(event, same)
    if (key === undefined) continue
    const known = found.get(key)
    if (known === undefined) found.set(key, [event])
    else known.push(event)
  }
  return found
}

/** Undefined where one of the values is missing: nothing is the same as that. */
function valuesOf({ props }: Occurrence, same: string[]): string | undefined {
  if (same.length === 0) return ''
  const values = same.map((prop) => props[prop])
  return values.some((value) => value === undefined || value === null) ? undefined : JSON.stringify(values)
}

const NONE: Occurrence[] = []

function sharing(events: ByValues, first: Occurrence, same: string[]): Occurrence[] {
  const key = valuesOf(first, same)
  return key === undefined ? NONE : (events.get(key) ?? NONE)
}

function holdsAt(sequence: Prepared, atMs: number): boolean {
  const { leaf, facts } = sequence
  const span = spanAt(leaf.window, atMs, facts)
  const starts = sequence.starts.slice(
    firstAfter(sequence.starts, span.after),
    firstAfter(sequence.starts, span.upTo),
  )
  if (starts.length < leaf.min) return false
  const only = leaf.anchor === 'any' ? undefined : starts.at(leaf.anchor === 'first' ? 0 : -1)?.time
  const anchors = only === undefined ? starts : starts.filter(({ time }) => time === only)
  return groupsOf(sequence, anchors).some(([first, members]) =>
    endsOf(sequence, members, first, span).some((end) => isQuiet(sequence, end, first, atMs)),
  )
}

/** Anchors with the same values of what later steps must share; the first of them speaks for all. */
function groupsOf({ leaf }: Prepared, anchors: Occurrence[]): [Occurrence, Occurrence[]][] {
  const same = [...new Set([...leaf.steps.flatMap((step) => step.same), ...(leaf.none?.same ?? [])])]
  const groups = Map.groupBy(anchors, ({ props }) =>
    same.length === 0 ? '' : JSON.stringify(same.map((prop) => props[prop] ?? null)),
  )
  return [...groups.values()].flatMap((members): [Occurrence, Occurrence[]][] => {
    const [first] = members
    return first === undefined ? [] : [[first, members]]
  })
}

/** The events of the last step that some chain from one of `anchors` reaches. */
function endsOf({ steps }: Prepared, anchors: Occurrence[], first: Occurrence, span: Span): Occurrence[] {
  let reached = anchors
  for (const { events, withinMs, same } of steps) {
    const next: Occurrence[] = []
    let before = 0
    for (const event of sharing(events, first, same)) {
      if (event.time > span.upTo) break
      while ((reached[before]?.time ?? NEVER) < event.time) before += 1
      // The latest one before it allows the longest gap.
      const latest = reached[before - 1]
      if (latest !== undefined && event.time - latest.time <= withinMs) next.push(event)
    }
    reached = next
  }
  return reached
}

/** The deadline is over, and nothing of that kind came before it, or has come until now. */
function isQuiet({ none }: Prepared, end: Occurrence, first: Occurrence, atMs: number): boolean {
  if (none === undefined) return true
  const deadline = end.time + none.withinMs
  if (atMs < deadline) return false
  const events = sharing(none.events, first, none.same)
  const next = events[firstAfter(events, end.time)]
  return next === undefined || next.time > (none.toNow ? atMs : deadline)
}

/** Index of the first event after an instant; events are ascending. */
function firstAfter(events: Occurrence[], ms: number): number {
  let from = 0
  let to = events.length
  while (from < to) {
    const middle = (from + to) >>> 1
    if ((events[middle]?.time ?? NEVER) <= ms) from = middle + 1
    else to = middle
  }
  return from
}

/** The instants after `atMs` at which the answer can change, one after the other. */
function changesAfter({ leaf, facts }: Prepared, atMs: number): { events: number; next(): number } {
  const inputs = [...new Set(leaf.steps.map((step) => step.input))]
  const [only = NONE, ...more] = inputs.map((input) => facts.inputs[input] ?? [])
  const events = more.length === 0 ? only : [only, ...more].flat().sort((a, b) => a.time - b.time)
  const window = slide(leaf.window, events, facts, { enter: () => {}, leave: () => {} })
  window.moveTo(atMs)
  const deadlines = deadlinesAfter(leaf, facts, atMs)
  let at = atMs
  let passed = 0
  return {
    events: events.length,
    next() {
      while ((deadlines[passed] ?? NEVER) <= at) passed += 1
      at = Math.min(window.next(), deadlines[passed] ?? NEVER)
      if (at !== NEVER) window.moveTo(at)
      return at
    },
  }
}

/** Ends of what has to stay quiet, and the times of what would break it, after an instant. */
function deadlinesAfter({ steps, none }: SequenceLeaf, facts: Facts, atMs: number): number[] {
  if (none === undefined) return []
  const ends = (facts.inputs[steps.at(-1)?.input ?? -1] ?? []).map(({ time }) => time + none.withinMs)
  const breaks = (facts.inputs[none.input] ?? []).map(({ time }) => time)
  return [...ends, ...breaks].filter((ms) => ms > atMs).sort((a, b) => a - b)
}
