// Ordered steps with gaps between them, on the same product where asked, and then something that did not happen. Pure.
//
// A chain is one event a step, each later than the one before. It holds at an instant when some chain lies in the window
// and, with `none`, its deadline has passed without such an event. Evaluated anew at each instant at which that can
// change: an event enters or leaves the window, a deadline passes.
import type { Facts, Occurrence } from './facts.ts'
import type { SequenceLeaf } from './plan.ts'
import { NEVER, type Timed } from './timed.ts'
import { slide, spanAt } from './windows.ts'

/** Instants that are looked at for the next change; the last of them is a wake-up that may find nothing new. */
const LOOK_AHEAD = 200

export function evaluateSequence(leaf: SequenceLeaf, facts: Facts, atMs: number): Timed {
  const holds = holdsAt(leaf, facts, atMs)
  let next = atMs
  for (let looks = 0; looks < LOOK_AHEAD; looks++) {
    next = nextChange(leaf, facts, next)
    if (next === NEVER || holdsAt(leaf, facts, next) !== holds) break
  }
  return { holds, until: next }
}

function holdsAt(leaf: SequenceLeaf, facts: Facts, atMs: number): boolean {
  const span = spanAt(leaf.window, atMs, facts)
  const inSpan = (input: number) =>
    (facts.inputs[input] ?? []).filter(({ time }) => time > span.after && time <= span.upTo)
  const starts = inSpan(leaf.steps[0]?.input ?? -1)
  if (starts.length < leaf.min) return false
  const only = leaf.anchor === 'any' ? undefined : starts.at(leaf.anchor === 'first' ? 0 : -1)?.time
  const anchors = only === undefined ? starts : starts.filter(({ time }) => time === only)
  return groupsOf(leaf, anchors).some(({ first, members }) =>
    endsOf(leaf, members, first, inSpan).some((end) => nothingFollowed(leaf, facts, { end, first, atMs })),
  )
}

/** Anchors with the same values of what later steps must share; `first` speaks for all of them. */
function groupsOf(leaf: SequenceLeaf, anchors: Occurrence[]): { first: Occurrence; members: Occurrence[] }[] {
  const same = [...new Set([...leaf.steps.flatMap((step) => step.same), ...(leaf.none?.same ?? [])])]
  const groups = new Map<string, Occurrence[]>()
  for (const anchor of anchors) {
    const key = JSON.stringify(same.map((prop) => anchor.props[prop] ?? null))
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [anchor])
    else group.push(anchor)
  }
  return [...groups.values()].flatMap((members) => {
    const [first] = members
    return first === undefined ? [] : [{ first, members }]
  })
}

/** The events of the last step that some chain from one of `anchors` reaches. */
function endsOf(
  leaf: SequenceLeaf,
  anchors: Occurrence[],
  first: Occurrence,
  inSpan: (input: number) => Occurrence[],
): Occurrence[] {
  let reached = anchors
  for (const { input, withinMs = NEVER, same } of leaf.steps.slice(1)) {
    const candidates = inSpan(input).filter((event) => shares(event, first, same))
    let before = 0
    const next: Occurrence[] = []
    for (const event of candidates) {
      while ((reached[before]?.time ?? NEVER) < event.time) before += 1
      // The latest one before it allows the longest gap.
      const latest = reached[before - 1]
      if (latest !== undefined && event.time - latest.time <= withinMs) next.push(event)
    }
    reached = next
  }
  return reached
}

function nothingFollowed(
  { none }: SequenceLeaf,
  facts: Facts,
  { end, first, atMs }: { end: Occurrence; first: Occurrence; atMs: number },
): boolean {
  if (none === undefined) return true
  const deadline = end.time + none.withinMs
  if (atMs < deadline) return false
  const upTo = none.until === 'now' ? atMs : deadline
  return !(facts.inputs[none.input] ?? []).some(
    (event) => event.time > end.time && event.time <= upTo && shares(event, first, none.same),
  )
}

/** The same value, which must be there. */
function shares(event: Occurrence, first: Occurrence, same: string[]): boolean {
  return same.every((prop) => {
    const value = first.props[prop]
    return (
      value !== undefined && value !== null && JSON.stringify(event.props[prop]) === JSON.stringify(value)
    )
  })
}

function nextChange(leaf: SequenceLeaf, facts: Facts, afterMs: number): number {
  const inputs = new Set(leaf.steps.map((step) => step.input))
  const events = [...inputs].flatMap((input) => facts.inputs[input] ?? []).sort((a, b) => a.time - b.time)
  const window = slide(leaf.window, events, facts, { enter: () => {}, leave: () => {} })
  window.moveTo(afterMs)
  let next = window.next()
  if (leaf.none === undefined) return next
  const earlier = (at: number) => {
    if (at > afterMs && at < next) next = at
  }
  for (const { time } of facts.inputs[leaf.steps.at(-1)?.input ?? -1] ?? [])
    earlier(time + leaf.none.withinMs)
  for (const { time } of facts.inputs[leaf.none.input] ?? []) earlier(time)
  return next
}
