// Metrics as rules name them. A condition on a metric is its definition compared: the same leaf as if it stood in the rule,
// so that whatever holds of leaves holds of metrics. Pure.
import type { MetricDefinition } from '../../schema/metric.ts'
import {
  type AggNode,
  COMPARISONS,
  type Comparison,
  type ComputedNode,
  type PickNode,
  type QuantileNode,
  type TimeNode,
} from '../../schema/rule.ts'
import { aggregateAt, pickAt } from './parse-events.ts'
import { amountAt, oneOf } from './parse-values.ts'

export type KnownMetric = { version: number; definition: MetricDefinition; cuts?: KnownCuts | undefined }
/** 99 points that part those who have a value into hundreds, of a definition that may be older than the metric's own. */
export type KnownCuts = {
  version: number
  metricVersion: number
  definition: MeasurableDefinition
  points: readonly string[]
}
/** Whose values are numbers that people can be ordered by. */
export type MeasurableDefinition = Exclude<MetricDefinition, { k: 'pick' }>
/** By slug. */
export type Metrics = ReadonlyMap<string, KnownMetric>
export const NO_METRICS: Metrics = new Map()

/** Days since the first or last event, compared. */
export type ElapsedNode = Omit<TimeNode, 'k' | 'op' | 'ago'> & {
  k: 'elapsed'
  op: Comparison
  value: number | string
}

export type ComparedNode = AggNode | PickNode | ElapsedNode

/** In a plan: a metric as that version of it was defined, compared. `Of` = the leaf that it was compiled to. */
export type Computed<Of> = { k: 'computed'; metric: string; version: number; of: Of }

/** In a plan: between two cut points, from the one on and below the other; absent = without an end. */
export type Quantile<Of> = {
  k: 'quantile'
  metric: string
  version: number
  cuts: number
  of: Of
  from?: string
  below?: string
}

export function compiledComputed<Of>(
  node: Omit<ComputedNode, 'k'>,
  metrics: Metrics,
  compile: (node: ComparedNode) => Of,
): Computed<Of> {
  const { definition, version } = metricOf(node.metric, metrics)
  return { k: 'computed', metric: node.metric, version, of: compile(comparedWith(definition, node, 'rule')) }
}

/** What the leaf is compared with plays no part: its value is looked for in the range. */
export function compiledQuantile<Of>(
  { metric, from, to }: QuantileNode,
  metrics: Metrics,
  compile: (node: ComparedNode) => Of,
): Quantile<Of> {
  const { cuts } = metricOf(metric, metrics)
  if (cuts === undefined) throw new Error(`the metric ${metric} has no cuts where a rule asks for a quantile`)
  const of = compile(comparedWith(cuts.definition, { op: 'eq', value: 0 }, 'rule'))
  const [low, high] = [cutAt(from, cuts), cutAt(to, cuts)]
  return {
    ...{ k: 'quantile', metric, version: cuts.metricVersion, cuts: cuts.version, of },
    ...(low === undefined ? {} : { from: low }),
    ...(high === undefined ? {} : { below: high }),
  }
}

/** Throws where it is not there: whoever compiles a rule has looked at what it names. */
function metricOf(slug: string, metrics: Metrics): KnownMetric {
  const metric = metrics.get(slug)
  if (metric === undefined) throw new Error(`the metric ${slug} is not known where a rule names it`)
  return metric
}

export function isMeasurable(definition: MetricDefinition): definition is MeasurableDefinition {
  return definition.k !== 'pick'
}

/** The cut point below which that part of the people lies; undefined for 0 and 1, which have none. */
function cutAt(part: number, { points }: KnownCuts): string | undefined {
  return points[Math.round(part * 100) - 1]
}

/** Throws `invalid_rule` with the path of the fault where the metric cannot be compared so. */
export function comparedWith(
  definition: MetricDefinition,
  { op, value }: Pick<ComputedNode, 'op' | 'value'>,
  path: string,
): ComparedNode {
  switch (definition.k) {
    case 'agg':
      return aggregateAt({ ...asWritten(definition), op, value }, path)
    case 'pick':
      return pickAt({ ...asWritten(definition), op, value }, path)
    case 'time': {
      const { k: _, ...events } = definition
      return {
        ...events,
        k: 'elapsed',
        op: oneOf(op, COMPARISONS, `${path}.op`),
        value: amountAt(value, `${path}.value`),
      }
    }
  }
}

/** What is read as all events of a type was written without a name. */
function asWritten({ event, ...rest }: MetricDefinition): Record<string, unknown> {
  return event === '' ? rest : { ...rest, event }
}
