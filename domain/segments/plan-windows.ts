// Windows of a rule as a plan has them: durations in ms, instants in ms since the epoch, and how far back they look. Pure.
import type { PropertyFilter, Window } from '../../schema/rule.ts'
import { parseDuration } from './durations.ts'

/** The clock of a window is not here: it belongs to the input whose events it lets through. */
export type PlanWindow =
  | { k: 'rolling'; lastMs: number }
  | { k: 'between'; fromMs: number; toMs: number }
  | { k: 'absolute'; afterMs: number; upToMs: number }
  | { k: 'lifetime' }
  /** `input` = the events that it may begin with. */
  | { k: 'since'; input: number; pick: 'first' | 'last' }
  | Omit<Extract<Window, { k: 'calendar' }>, 'clock'>

/** `numberOf` = the number of the input with these events, which are read back to the first of them. */
export function windowOf(
  window: Window,
  numberOf: (events: { event: string; type?: string; where?: PropertyFilter[] }) => number,
): PlanWindow {
  switch (window.k) {
    case 'rolling':
      return { k: 'rolling', lastMs: parseDuration(window.last) ?? 0 }
    case 'between':
      return { k: 'between', fromMs: parseDuration(window.from) ?? 0, toMs: parseDuration(window.to) ?? 0 }
    case 'absolute':
      return { k: 'absolute', afterMs: Date.parse(window.from), upToMs: Date.parse(window.to) }
    case 'since':
      return { k: 'since', input: numberOf(window.anchor), pick: window.anchor.pick }
    case 'lifetime':
    case 'calendar': {
      const { clock: _, ...rest } = window
      return rest
    }
  }
}

const DAY_MS = 86_400_000
/** At most, with the day that a zone may be away. */
const UNIT_DAYS = { day: 2, week: 8, month: 32, quarter: 93, year: 367 }

/** How far back a window looks at the most; undefined = without limit. */
export function reachOf(window: PlanWindow): number | undefined {
  switch (window.k) {
    case 'rolling':
      return window.lastMs
    case 'between':
      return window.toMs
    case 'calendar':
      return UNIT_DAYS[window.unit] * ((window.count ?? 1) - (window.offset ?? 0)) * DAY_MS + DAY_MS
    case 'absolute':
    case 'lifetime':
    case 'since':
      return undefined
  }
}
