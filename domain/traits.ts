// Traits: the newest event time wins for each trait on its own, ties by message id, and null unsets. Merging is
// commutative and associative, so any order of arrival and any merge of profiles gives the same traits. Pure.

export type Traits = Record<string, unknown>
/**
 * [event time in ms, message id] of the value that a trait has, also of one that was unset; and since when it has had it, where
 * that is earlier, ms: domain/trait-since.ts.
 */
export type TraitTime = [timeMs: number, messageId: string, sinceMs?: number]
export type TraitTimes = Record<string, TraitTime>
export type TraitState = { traits: Traits; times: TraitTimes }

/** The state after both; neither argument is changed. Keys come from users: plain own properties only. */
export function mergeTraits(a: TraitState, b: TraitState): TraitState {
  const traits = new Map(Object.entries(a.traits))
  const times = new Map(Object.entries(a.times))
  for (const [key, time] of Object.entries(b.times)) {
    const current = times.get(key)
    if (current !== undefined && !isNewer(time, current)) continue
    times.set(key, time)
    const value = Object.hasOwn(b.traits, key) ? b.traits[key] : null
    if (value === null || value === undefined) traits.delete(key)
    else traits.set(key, value)
  }
  return { traits: Object.fromEntries(traits), times: Object.fromEntries(times) }
}

/** The state that one identify call stands for. */
export function traitsOf(traits: Traits, timeMs: number, messageId: string): TraitState {
  const times: [string, TraitTime][] = Object.keys(traits).map((key) => [key, [timeMs, messageId]])
  const set = Object.entries(traits).filter(([, value]) => value !== null && value !== undefined)
  return { traits: Object.fromEntries(set), times: Object.fromEntries(times) }
}

function isNewer(a: TraitTime, b: TraitTime): boolean {
  return a[0] > b[0] || (a[0] === b[0] && a[1] > b[1])
}
