// Leaves on one event of a person: the first or the last of its kind, when it was and what it said; and that there was
// none. Pure.
import { conditionHolds } from './conditions.ts'
import type { Facts } from './facts.ts'
import type { AbsenceLeaf, PickLeaf, TimeLeaf } from './plan.ts'
import { atLeast, constant, NEVER, type Timed } from './timed.ts'
import { firstAfter, slide, untilChange } from './windows.ts'

/** A property of the first or last event in a window; false where there is none. Of several at that instant any may fit. */
export function evaluatePick(leaf: PickLeaf, facts: Facts, atMs: number): Timed {
  const events = facts.inputs[leaf.input] ?? []
  const window = slide(leaf.window, events, facts, atMs)
  return untilChange(window, () => {
    const { from, to } = window
    const time = events[leaf.pick === 'first' ? from : to - 1]?.time
    const step = leaf.pick === 'first' ? 1 : -1
    for (let at = step === 1 ? from : to - 1; at >= from && at < to && events[at]?.time === time; at += step)
      if (conditionHolds(events[at]?.props[leaf.prop], leaf)) return true
    return false
  })
}

/** How long ago the first or last event of its kind was; false where there is none yet. */
export function evaluateTime({ input, pick, op, agoMs }: TimeLeaf, facts: Facts, atMs: number): Timed {
  const events = facts.inputs[input] ?? []
  const times = events.map((event) => event.time)
  const holdsAt = (at: number) => {
    const time = times[pick === 'first' ? 0 : firstAfter(events, at) - 1]
    if (time === undefined || time > at) return false
    return op === 'within' ? time > at - agoMs : time <= at - agoMs
  }
  const holds = holdsAt(atMs)
  const changes = times.flatMap((time) => [time, time + agoMs]).filter((at) => at > atMs)
  const until = changes.sort((a, b) => a - b).find((at) => holdsAt(at) !== holds)
  return { holds, until: until ?? NEVER }
}

/** No event in the window; for whom it can be asked, the person was known before it began. */
export function evaluateAbsence(leaf: AbsenceLeaf, facts: Facts, atMs: number): Timed {
  const events = facts.inputs[leaf.input] ?? []
  const window = slide(leaf.window, events, facts, atMs)
  const none = untilChange(window, () => window.from === window.to)
  if (!leaf.requireProfileAge || leaf.window.k !== 'rolling') return none
  const oldAt = facts.firstMs + leaf.window.lastMs
  return atLeast(2, [none, atMs >= oldAt ? constant(true) : { holds: false, until: oldAt }])
}
