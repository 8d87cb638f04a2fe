// Ordered steps with gaps between them, on the same product where asked, and then something that did not happen. Pure.
//
// A chain is one event a step, each later than the one before. It holds at an instant when some chain lies in the window
// and, with `none`, its deadline has passed without such an event. Asked anew at each instant at which that can change: an
// event enters or leaves the window, a deadline passes. One look takes time in proportion to the events.
import type { Facts, Occurrence } from './facts.ts'
import type { SequenceLeaf } from './plan.ts'
import { NEVER, type Timed } from './timed.ts'
import { firstAfter, type Span, slide, spanAt } from './windows.ts'

/** Instants that are looked at for the next change, fewer where somebody has very many events; the last is a wake-up. */
const LOOK_AHEAD = 200
const EVENTS_LOOKED_AT = 200_000

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

/** The starts of the same values, and what of the later steps shares these with them; all ascending by time. */
type Group = { steps: Occurrence[][]; none: Occurrence[] }
type Prepared = {
  leaf: SequenceLeaf
  facts: Facts
  starts: Occurrence[]
  /** The group of each start. */
  groups: Group[]
}

function prepare(leaf: SequenceLeaf, facts: Facts): Prepared {
  const [first, ...others] = leaf.steps
  const eventsOf = (input: number) => facts.inputs[input] ?? NONE
  const starts = eventsOf(first?.input ?? -1)
  const steps = others.map(({ input, same }) => ({ same, events: byValues(eventsOf(input), same) }))
  const none = leaf.none === undefined ? undefined : byValues(eventsOf(leaf.none.input), leaf.none.same)
  const all = [...new Set([...others.flatMap((step) => step.same), ...(leaf.none?.same ?? [])])]
  const known = new Map<string, Group>()
  const groups = starts.map((start) => {
    const key = all.length === 0 ? '' : JSON.stringify(all.map((prop) => start.props[prop] ?? null))
    let group = known.get(key)
    if (group === undefined) {
      group = {
        steps: steps.map(({ same, events }) => sharing(events, start, same)),
        none: none === undefined ? NONE : sharing(none, start, leaf.none?.same ?? []),
      }
      known.set(key, group)
    }
    return group
  })
  return { leaf, facts, starts, groups }
}

type ByValues = Map<string, Occurrence[]>

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

function sharing(events: ByValues, start: Occurrence, same: string[]): Occurrence[] {
  const key = valuesOf(start, same)
  return key === undefined ? NONE : (events.get(key) ?? NONE)
}

function holdsAt({ leaf, facts, starts, groups }: Prepared, atMs: number): boolean {
  const span = spanAt(leaf.window, atMs, facts)
  const from = firstAfter(starts, span.after)
  const to = firstAfter(starts, span.upTo)
  if (to - from < leaf.min) return false
  const place = placeOf(leaf.anchor, from, to)
  if (place >= to) return false
  const only = leaf.anchor === 'any' ? undefined : starts[place]?.time
  const anchors = new Map<Group, Occurrence[]>()
  for (let i = from; i < to; i++) {
    const start = starts[i]
    const group = groups[i]
    if (start === undefined || group === undefined || (only !== undefined && start.time !== only)) continue
    const known = anchors.get(group)
    if (known === undefined) anchors.set(group, [start])
    else known.push(start)
  }
  for (const [group, members] of anchors)
    if (endsOf(leaf, group, members, span).some((end) => isQuiet(leaf, group, end, atMs))) return true
  return false
}

/** Which of the starts in the window [from, to) is the anchor; beyond its end where there are too few. */
function placeOf(anchor: SequenceLeaf['anchor'], from: number, to: number): number {
  if (typeof anchor === 'object') return from + anchor.kth - 1
  return anchor === 'latest' ? to - 1 : from
}

/** The events of the last step that some chain from one of `anchors` reaches. */
function endsOf({ steps }: SequenceLeaf, group: Group, anchors: Occurrence[], span: Span): Occurrence[] {
  let reached = anchors
  for (const [i, candidates] of group.steps.entries()) {
    const withinMs = steps[i + 1]?.withinMs ?? NEVER
    const next: Occurrence[] = []
    let before = 0
    for (const event of candidates) {
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
function isQuiet({ none }: SequenceLeaf, group: Group, end: Occurrence, atMs: number): boolean {
  if (none === undefined) return true
  const deadline = end.time + none.withinMs
  if (atMs < deadline) return false
  const next = group.none[firstAfter(group.none, end.time)]
  return next === undefined || next.time > (none.until === 'now' ? atMs : deadline)
}

/** The instants after `atMs` at which the answer can change, one after the other. */
function changesAfter({ leaf, facts }: Prepared, atMs: number): { events: number; next(): number } {
  const inputs = [...new Set(leaf.steps.map((step) => step.input))]
  const [only = NONE, ...more] = inputs.map((input) => facts.inputs[input] ?? [])
  const events = more.length === 0 ? only : [only, ...more].flat().sort((a, b) => a.time - b.time)
  const window = slide(leaf.window, events, facts, atMs)
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
