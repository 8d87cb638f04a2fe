// Which events live rules ask for: only who got one of them has to be evaluated. Pure; read by persist, which then tells
// nobody of the others, and by the pass, which leaves them out.
import type { Plan } from './plan.ts'

/** An event name of a type; an empty one of another type than `track` means all events of that type. */
export type AskedEvent = { type: string; event: string }

/** Only identify changes traits. */
const STATES_TRAITS: AskedEvent = { type: 'identify', event: '' }

export function askedEvents(plans: Plan[]): AskedEvent[] {
  const asked: AskedEvent[] = plans.flatMap((plan) => plan.scans)
  const needsTraits = plans.some((plan) => plan.leaves.some((leaf) => leaf.k === 'trait'))
  return needsTraits ? [...asked, STATES_TRAITS] : asked
}
