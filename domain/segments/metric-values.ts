// What metrics are of a person at an instant, in the units that they are defined in. Pure.
import type { MetricDefinition } from '../../schema/metric.ts'
import { exponentOf } from '../money.ts'
import { aggregateAt } from './aggregates.ts'
import { shifted } from './decimals.ts'
import { foundBy } from './explain.ts'
import type { Facts } from './facts.ts'
import type { MetricLeaf } from './plan.ts'

/** `value` = decimal text of what is counted, summed or measured, the property of an event as it is; null = no value. */
export type MetricValue = { value: unknown; events: number }

/** `leaf` = what `definition` was compiled to. */
export function metricValue(
  definition: MetricDefinition,
  leaf: MetricLeaf,
  facts: Facts,
  atMs: number,
): MetricValue {
  if (definition.k === 'agg' && leaf.k === 'agg') {
    const { value, events } = aggregateAt(leaf, facts, atMs)
    return { value: value === undefined ? null : shown(value, definition), events: events.length }
  }
  const { value, events } = foundBy(leaf, false, { facts, atMs })
  return { value: value ?? null, events }
}

/** Plans reckon revenue in minor units: as the definition has it. */
export function shown(value: string, definition: MetricDefinition): string {
  if (definition.k !== 'agg' || definition.prop !== 'revenue' || definition.agg === 'distinct') return value
  return definition.unit === 'minor' ? value : shifted(value, -exponentOf(definition.currency ?? 'USD'))
}
