// Since when a trait has had the value it has: the instant from which on nothing else was said of it. It follows from all that
// identify calls said, in whatever order they came: a call that says the same again changes nothing, one that comes late
// counts at its own time. Kept as a third member of a trait's time (domain/traits.ts), so that it outlives the events. Pure.
import { isDeepStrictEqual } from 'node:util'
import { mergeTraits, type TraitState, type Traits, type TraitTime, traitsOf } from './traits.ts'

/** An identify call; null unsets. */
export type TraitCall = { traits: Traits; timeMs: number; messageId: string }

/** What one call says of one trait; null = it is not there. */
type Said = { timeMs: number; messageId: string; value: unknown }

/**
 * The state after more calls. `earlier` = all calls of the person that are kept, needed only where `needsEarlier` says so; they
 * may contain `calls`. Without them the cost is that of the traits the calls name.
 */
export function withCalls(stored: TraitState, calls: TraitCall[], earlier: TraitCall[] = []): TraitState {
  const state = calls.reduce(
    (merged, { traits, timeMs, messageId }) => mergeTraits(merged, traitsOf(traits, timeMs, messageId)),
    stored,
  )
  const found = new Map<string, TraitTime>()
  for (const name of new Set(calls.flatMap(({ traits }) => Object.keys(traits)))) {
    const time = state.times[name]
    if (time === undefined) continue
    const sinceMs =
      sinceInOrder(stored, name, calls, earlier) ??
      sinceOf([...storedOf(stored, name), ...saidOf(earlier, name), ...saidOf(calls, name)])
    if (sinceMs !== (time[2] ?? time[0]))
      found.set(name, sinceMs < time[0] ? [time[0], time[1], sinceMs] : [time[0], time[1]])
  }
  if (found.size === 0) return state
  // Entries, not assignments: a trait may be called __proto__.
  return { traits: state.traits, times: Object.fromEntries([...Object.entries(state.times), ...found]) }
}

/** One call after all that is stored, which nearly all are: one comparison says it. */
function sinceInOrder(
  stored: TraitState,
  name: string,
  calls: TraitCall[],
  earlier: TraitCall[],
): number | undefined {
  const [call, ...more] = calls
  if (call === undefined || more.length > 0 || earlier.length > 0) return undefined
  const time = Object.hasOwn(stored.times, name) ? stored.times[name] : undefined
  if (time === undefined) return call.timeMs
  if (call.timeMs <= time[0]) return undefined
  return isSame(call.traits[name] ?? null, valueNow(stored, name)) ? (time[2] ?? time[0]) : call.timeMs
}

function isSame(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === 'object' && typeof b === 'object' && isDeepStrictEqual(a, b))
}

/**
 * Whether a call is older than what is stored and may break or lengthen the time for which it has been so. It has to be seen
 * among all the others then, also those before it: at its own instant it may take the place of one that parted two times.
 */
export function needsEarlier(stored: TraitState, calls: TraitCall[]): boolean {
  return calls.some(({ traits, timeMs }) =>
    Object.entries(traits).some(([name, value]) => canMatter(stored, name, value, timeMs)),
  )
}

function canMatter(stored: TraitState, name: string, value: unknown, timeMs: number): boolean {
  const time = Object.hasOwn(stored.times, name) ? stored.times[name] : undefined
  if (time === undefined || timeMs > time[0]) return false
  const sinceMs = time[2] ?? time[0]
  return isSame(value ?? null, valueNow(stored, name)) ? timeMs < sinceMs : timeMs >= sinceMs
}

function valueNow({ traits }: TraitState, name: string): unknown {
  return Object.hasOwn(traits, name) ? (traits[name] ?? null) : null
}

/** What is remembered: the newest that was said, and the first that said the same. */
function storedOf(stored: TraitState, name: string): Said[] {
  const time = Object.hasOwn(stored.times, name) ? stored.times[name] : undefined
  if (time === undefined) return []
  const [timeMs, messageId, sinceMs] = time
  const value = valueNow(stored, name)
  const newest = { timeMs, messageId, value }
  return sinceMs === undefined ? [newest] : [newest, { timeMs: sinceMs, messageId: '', value }]
}

function saidOf(calls: TraitCall[], name: string): Said[] {
  return calls.flatMap(({ traits, timeMs, messageId }) =>
    Object.hasOwn(traits, name) ? [{ timeMs, messageId, value: traits[name] ?? null }] : [],
  )
}

/** From the newest back as long as the same was said. Of several at one instant only the last by message id was ever true. */
function sinceOf(said: Said[]): number {
  const newestFirst = said.sort(
    (a, b) => b.timeMs - a.timeMs || (a.messageId === b.messageId ? 0 : a.messageId < b.messageId ? 1 : -1),
  )
  const [newest] = newestFirst
  if (newest === undefined) return Number.NEGATIVE_INFINITY
  let sinceMs = newest.timeMs
  let before = newest
  for (const one of newestFirst) {
    if (one !== newest && one.timeMs === before.timeMs) continue
    if (!isSame(one.value, newest.value)) break
    sinceMs = one.timeMs
    before = one
  }
  return sinceMs
}
