// Reads definitions of metrics, and the leaves of a rule that name one. Every refusal names the path of the fault.
import { createHash } from 'node:crypto'
import type { MetricDefinition } from '../../schema/metric.ts'
import type { ComputedNode, QuantileNode } from '../../schema/rule.ts'
import { aggregateAt, pickAt, timeAt } from './parse-events.ts'
import {
  conditionAt,
  fault,
  type Json,
  knownKeys,
  numberAt,
  objectAt,
  oneOf,
  textAt,
} from './parse-values.ts'

const EVENTS = ['k', 'event', 'type', 'where']
const KINDS = ['agg', 'pick', 'time'] as const

export type CheckedMetric = { definition: MetricDefinition; definitionHash: string }

/** Throws `invalid_rule` with the path of the fault. The hash does not depend on the order of members. */
export function checkMetric(input: unknown): CheckedMetric {
  const definition = definitionAt(input, 'definition')
  return { definition, definitionHash: createHash('sha256').update(JSON.stringify(definition)).digest('hex') }
}

/** As the leaf of its kind, which is read with a comparison that every definition can have. */
function definitionAt(input: unknown, path: string): MetricDefinition {
  const node = objectAt(input, path)
  switch (oneOf(node.k, KINDS, `${path}.k`)) {
    case 'agg': {
      knownKeys(node, [...EVENTS, 'agg', 'prop', 'unit', 'currency', 'tz', 'window'], path)
      const { op: _, value: __, ...definition } = aggregateAt({ ...node, op: 'eq', value: 0 }, path)
      return definition
    }
    case 'pick': {
      knownKeys(node, [...EVENTS, 'pick', 'prop', 'window'], path)
      const { op: _, value: __, ...definition } = pickAt({ ...node, op: 'eq', value: 0 }, path)
      return definition
    }
    case 'time': {
      knownKeys(node, [...EVENTS, 'pick'], path)
      const { op: _, ago: __, ...definition } = timeAt({ ...node, op: 'within', ago: 'P1D' }, path)
      return definition
    }
  }
}

const SLUG = /^[a-z0-9][a-z0-9_-]{0,62}$/

/** Whether there is such a metric, and whether it can be compared so, is looked at where the rule is stored or tried. */
export function computedAt(node: Json, path: string): ComputedNode {
  knownKeys(node, ['k', 'metric', 'op', 'value'], path)
  return { k: 'computed', metric: metricAt(node, path), ...conditionAt(node, path) }
}

/** Both ends are hundredths: at those people are parted. */
export function quantileAt(node: Json, path: string): QuantileNode {
  knownKeys(node, ['k', 'metric', 'from', 'to'], path)
  const [from, to] = [partAt(node.from, `${path}.from`), partAt(node.to, `${path}.to`)]
  if (from >= to) throw fault(`${path}.to`, 'must be above from')
  return { k: 'quantile', metric: metricAt(node, path), from, to }
}

function partAt(input: unknown, path: string): number {
  const part = numberAt(input, path, 0, 1)
  if (Number((Math.round(part * 100) / 100).toFixed(2)) !== part)
    throw fault(
      path,
      `expected a hundredth: 0.2, not 20 % or a third${part > 0 ? `; did you mean ${part.toFixed(2)}?` : ''}`,
    )
  return part
}

function metricAt(node: Json, path: string): string {
  const metric = textAt(node.metric, `${path}.metric`)
  if (!SLUG.test(metric)) throw fault(`${path}.metric`, 'expected the slug of a metric')
  return metric
}
