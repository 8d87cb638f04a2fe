// Which events a plan reads: leaves that read the same events share an input, which reaches as far back as any of them. Pure.
import type { PropertyFilter } from '../../schema/rule.ts'
import type { PlanClock } from './clock.ts'
import type { ContextPart } from './contact-events.ts'

/** Events that leaves read. Same type, name, filters and clock, same input. */
export type Input = {
  type: string
  /** '' = every name of a type other than `track`. */
  event: string
  where: PropertyFilter[]
  /** Only those on it: the clock of the leaves' windows. */
  clock?: PlanClock
  /** Properties that filters and leaves look at. */
  props: string[]
  /** Parts of its context that leaves look at; absent = none. */
  context?: ContextPart[]
  /** How far back it is read from the instant that is asked for, ms; absent = without limit. */
  lastMs?: number
}

type Events = { event: string; type?: string; where?: PropertyFilter[] }
/** What of them is looked at: properties, parts of the context; and only those on the clock. */
type Looks = { props?: string[]; clock?: PlanClock | undefined; context?: ContextPart[] }
export type Inputs = {
  numberOf(events: Events, reachMs: number | undefined, looks?: Looks): number
  all(): Input[]
}

export function collectInputs(): Inputs {
  const inputs: Input[] = []
  const numbers = new Map<string, number>()
  return {
    numberOf({ event, type = 'track', where = [] }, reachMs, { props = [], clock, context = [] } = {}) {
      const key = JSON.stringify([type, event, where, clock])
      let number = numbers.get(key)
      if (number === undefined) {
        number = inputs.length
        numbers.set(key, number)
        const only = clock === undefined ? {} : { clock }
        const reach = reachMs === undefined ? {} : { lastMs: reachMs }
        inputs.push({ type, event, where, ...only, props: [], ...reach })
      }
      const input = inputs[number]
      if (input === undefined) throw new Error('an input has no number')
      input.props = [...new Set([...input.props, ...props, ...where.map((filter) => filter.prop)])].sort()
      if (context.length > 0) input.context = [...new Set([...(input.context ?? []), ...context])].sort()
      if (reachMs === undefined) delete input.lastMs
      else if (input.lastMs !== undefined) input.lastMs = Math.max(input.lastMs, reachMs)
      return number
    },
    all: () => inputs,
  }
}
