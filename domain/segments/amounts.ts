// What an event counts where amounts are added or compared. Pure.
import type { Occurrence } from './facts.ts'
import type { AggLeaf } from './plan.ts'

/** The purchase value in minor units, or a number in the properties. */
export function amountOf(leaf: Pick<AggLeaf, 'currency' | 'prop'>, event: Occurrence): number | undefined {
  if (leaf.currency !== '')
    return event.currency === leaf.currency && event.value !== null ? event.value : undefined
  const value = event.props[leaf.prop]
  return typeof value === 'number' ? value : undefined
}
