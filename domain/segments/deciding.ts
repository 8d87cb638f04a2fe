// What decided a change: each condition that the answer rests on, with what it found against its threshold, small enough
// to be stored with the change. Pure.
import { type ChangeMetric, METRIC_LIMITS } from '../../schema/change-metric.ts'
import { type Explained, explainBriefly } from './explain.ts'
import type { Facts } from './facts.ts'
import type { Leaf, MetricLeaf, Plan } from './plan.ts'

/** Of a person at an instant (ms): at most `METRIC_LIMITS.conditions`, in the order of the rule. */
export function metricsOf(plan: Plan, facts: Facts, atMs: number): ChangeMetric[] {
  return decisive(explainBriefly(plan, facts, atMs))
    .slice(0, METRIC_LIMITS.conditions)
    .flatMap(toMetric)
}

/**
 * The conditions that make the whole what it is: of a group those that agree with it. A true `all` rests on every one, a
 * false `all` on those that are false; `any` and `atLeast` likewise.
 */
function decisive(explained: Explained): Explained[] {
  const { of, k, holds } = explained
  if (of === undefined) return [explained]
  return of.filter((child) => k === 'not' || child.holds === holds).flatMap(decisive)
}

function toMetric({ path, k, holds, found, leaf }: Explained): ChangeMetric[] {
  if (found === undefined || leaf === undefined) return []
  return [{ path, k, holds, value: shortened(found.value), ...askedBy(leaf) }]
}

function askedBy(leaf: Leaf | MetricLeaf): Pick<ChangeMetric, 'op' | 'threshold'> {
  switch (leaf.k) {
    case 'computed':
      return askedBy(leaf.of)
    case 'quantile':
      return { threshold: [leaf.from ?? null, leaf.below ?? null] }
    case 'consent':
      return { threshold: leaf.state }
    case 'message':
    case 'agg':
    case 'elapsed':
    case 'date':
      return { op: leaf.op, threshold: leaf.value }
    case 'trait':
    case 'pick':
      return leaf.value === undefined ? { op: leaf.op } : { op: leaf.op, threshold: shortened(leaf.value) }
    case 'time':
      return { op: leaf.op, threshold: `PT${leaf.agoMs / 1000}S` }
    case 'sample':
      return { threshold: [leaf.from, leaf.to] }
    case 'segment':
    case 'list':
    case 'anniversary':
    case 'geo':
    case 'absence':
    case 'seq':
      return {}
    case 'dwell':
      return { threshold: leaf.for }
  }
}

/** Texts, and what is longer than a text may be when written down, are cut. */
function shortened(value: unknown): unknown {
  if (typeof value === 'string') return cut(value)
  if (typeof value !== 'object' || value === null) return value
  const text = JSON.stringify(value)
  return text.length <= METRIC_LIMITS.textLength ? value : cut(text)
}

function cut(text: string): string {
  const { textLength } = METRIC_LIMITS
  // Half a surrogate pair would not go into Postgres.
  return text.length <= textLength ? text : `${text.slice(0, textLength).toWellFormed()}…`
}
