// Traits of the engine and of the oracle out of the same statements: as persist makes them of calls one after the other in the
// order of their arrival, and as plainly said.
import { isDeepStrictEqual } from 'node:util'
import { needsEarlier, type TraitCall, withCalls } from '../../domain/trait-since.ts'
import type { TraitState } from '../../domain/traits.ts'
import { type OracleStatement, traitsAt } from './segment-oracle.ts'

/** The calls that statements came with, in any order; of one instant the last of the list has the largest message id. */
export function callsOf(statements: OracleStatement[]): TraitCall[] {
  return statements.map(({ time, traits }, i) => ({
    ...{ traits, timeMs: time, messageId: `m-${String(i).padStart(4, '0')}` },
  }))
}

/** Of all calls that are kept those that persist reads beside a group. */
export function seenBeside(stored: TraitState, group: TraitCall[], kept: TraitCall[]): TraitCall[] {
  return needsEarlier(stored, group) ? kept : []
}

/** One call after the other, as persist keeps them. */
export function keepCalls(calls: TraitCall[]): TraitState {
  const empty: TraitState = { traits: {}, times: {} }
  return calls.reduce((stored, call, i) => {
    return withCalls(stored, [call], seenBeside(stored, [call], calls.slice(0, i + 1)))
  }, empty)
}

/** Since when each trait of a state is what it is, ms. */
export function sinceOf({ times }: TraitState): Record<string, number> {
  return Object.fromEntries(
    Object.entries(times).map(([name, [timeMs, , sinceMs]]) => [name, sinceMs ?? timeMs]),
  )
}

/** The first instant from which on a trait was what it is now, looked for from instant to instant. */
export function plainSince(statements: OracleStatement[], name: string): number | undefined {
  const times = [...new Set(statements.map(({ time }) => time))].sort((a, b) => a - b)
  const values = times.map((time) => traitsAt({ statements }, time)[name])
  return times[values.findLastIndex((value) => !isDeepStrictEqual(value, values.at(-1))) + 1]
}

/** What a person knows of itself to the oracle (`person`) and to the engine (`known`). */
export function toldBy(statements: OracleStatement[]) {
  const state = keepCalls(callsOf(statements))
  const traits = traitsAt({ statements }, Number.POSITIVE_INFINITY)
  return {
    person: { statements, traits },
    known: { traits: state.traits, traitSince: sinceOf(state) },
  }
}
