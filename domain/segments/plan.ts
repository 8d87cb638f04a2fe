// Compiles a rule into a plan: what workers run. Leaves that read the same events share an input; the expression refers
// to leaves, and leaves to inputs, by number. A plan is plain JSON, immutable, stored with its version. Pure.
import type {
  AbsenceNode,
  AggNode,
  Aggregate,
  AnniversaryNode,
  CategoryNode,
  Comparison,
  DateNode,
  DwellNode,
  GeoNode,
  ListNode,
  MessageNode,
  PickNode,
  ReachNode,
  Rule,
  RuleNode,
  SampleNode,
  SegmentNode,
  SequenceNode,
  TimeNode,
  TraitNode,
  Window,
  Zone,
} from '../../schema/rule.ts'
import { toMinorUnits } from '../money.ts'
import { compileClock } from './clock.ts'
import { CONSENT_EVENTS, messageEvents } from './contact-events.ts'
import { parseDuration } from './durations.ts'
import { collectInputs, type Input, type Inputs } from './inputs.ts'
import {
  type ComparedNode,
  type Computed,
  compiledComputed,
  compiledQuantile,
  type Metrics,
  NO_METRICS,
  type Quantile,
} from './metrics.ts'
import { type PlanWindow, reachOf, windowOf } from './plan-windows.ts'

/** Rises when plans are made in another way: stored plans of before are compiled again from their rule when they are read. */
export const PLAN_VERSION = 5

export type AggLeaf = {
  k: 'agg'
  input: number
  window: PlanWindow
  agg: Aggregate
  /** '' for counts; with `currency` the purchase value in minor units of that currency instead of a property. */
  prop: string
  currency: string
  /** Of `days`. */
  tz?: Zone
  op: Comparison
  /** Exact decimal text. */
  value: string
}
export type PickLeaf = Pick<PickNode, 'k' | 'pick' | 'prop' | 'op' | 'value'> & {
  input: number
  window: PlanWindow
}
export type TimeLeaf = Pick<TimeNode, 'k' | 'pick' | 'op'> & { input: number; agoMs: number }
export type AbsenceLeaf = { k: 'absence'; input: number; window: PlanWindow; requireProfileAge: boolean }
export type PlanStep = { input: number; withinMs?: number; same: string[] }
export type SequenceLeaf = {
  k: 'seq'
  window: PlanWindow
  anchor: 'any' | 'first' | 'latest' | { kth: number }
  min: number
  steps: PlanStep[]
  none?: { input: number; withinMs: number; same: string[]; until: 'deadline' | 'now' }
}
/** How many days ago the first or last event was. */
export type ElapsedLeaf = {
  k: 'elapsed'
  input: number
  pick: TimeNode['pick']
  op: Comparison
  value: string
}
export type ComputedLeaf = Computed<MetricLeaf>
export type QuantileLeaf = Quantile<MetricLeaf>
export type MetricLeaf = AggLeaf | PickLeaf | ElapsedLeaf
export type CategoryLeaf = CategoryNode & { inputs: number[] }
/** `inputs`: one an event name that counts as such a deed. */
export type MessageLeaf = Omit<MessageNode, 'window'> & { inputs: number[]; window: PlanWindow }
export type Leaf =
  | TraitNode
  | DwellNode
  | DateNode
  | AnniversaryNode
  | GeoNode
  | SampleNode
  | SegmentNode
  | ListNode
  | ComputedLeaf
  | QuantileLeaf
  | ReachNode
  | CategoryLeaf
  | MessageLeaf
  | AggLeaf
  | PickLeaf
  | TimeLeaf
  | AbsenceLeaf
  | SequenceLeaf

export type Expr =
  | { k: 'leaf'; leaf: number }
  | { k: 'not'; of: Expr }
  | { k: 'all' | 'any'; of: Expr[] }
  | { k: 'atLeast'; n: number; of: Expr[] }

export type Plan = { planVersion: typeof PLAN_VERSION; inputs: Input[]; leaves: Leaf[]; expr: Expr }

/** `metrics` = all that the rule names; throws where one is not there, which is looked at before. */
export function compileRule(rule: Rule, metrics: Metrics = NO_METRICS): Plan {
  const inputs = collectInputs()
  const leaves: Leaf[] = []
  const walk = (node: RuleNode): Expr => {
    switch (node.k) {
      case 'all':
      case 'any':
        return { k: node.k, of: node.of.map(walk) }
      case 'atLeast':
        return { k: 'atLeast', n: node.n, of: node.of.map(walk) }
      case 'not':
        return { k: 'not', of: walk(node.of) }
      default:
        leaves.push(leafOf(node, inputs, metrics))
        return { k: 'leaf', leaf: leaves.length - 1 }
    }
  }
  const expr = walk(rule.match)
  return { planVersion: PLAN_VERSION, inputs: inputs.all(), leaves, expr }
}

/** Everybody's values of these metrics: a plan of which only the leaves are looked at, in their order. */
export function compileMetrics(metrics: Metrics): Omit<Plan, 'leaves'> & { leaves: ComputedLeaf[] } {
  const inputs = collectInputs()
  const leaves = [...metrics.keys()].map((metric) =>
    compiledComputed({ metric, op: 'eq', value: 0 }, metrics, (one) => metricLeaf(one, inputs)),
  )
  return { planVersion: PLAN_VERSION, inputs: inputs.all(), leaves, expr: { k: 'all', of: [] } }
}

type LeafNode = Exclude<RuleNode, { k: 'all' | 'any' | 'atLeast' | 'not' }>

function leafOf(node: LeafNode, inputs: Inputs, metrics: Metrics): Leaf {
  switch (node.k) {
    case 'computed':
      return compiledComputed(node, metrics, (one) => metricLeaf(one, inputs))
    case 'quantile':
      return compiledQuantile(node, metrics, (one) => metricLeaf(one, inputs))
    case 'agg':
      return aggLeaf(node, inputs)
    case 'pick':
      return pickLeaf(node, inputs)
    case 'time': {
      const { k, pick, op } = node
      return { k, pick, op, input: inputs.numberOf(node, undefined), agoMs: parseDuration(node.ago) ?? 0 }
    }
    case 'absence':
      return absenceLeaf(node, inputs)
    case 'seq':
      return sequenceLeaf(node, inputs)
    case 'consent':
      if ('channel' in node) return node
      return {
        ...node,
        inputs: CONSENT_EVENTS.map((one) => inputs.numberOf(one, undefined, { context: ['consent'] })),
      }
    case 'message': {
      const { window, reach, clock } = openWindow(node.window, inputs)
      const { props, context, events } = messageEvents(node)
      const numbers = events.map((one) => inputs.numberOf(one, reach, { props, context, clock }))
      return { ...node, window, inputs: numbers }
    }
    default:
      return node
  }
}

function metricLeaf(node: ComparedNode, inputs: Inputs): MetricLeaf {
  switch (node.k) {
    case 'agg':
      return aggLeaf(node, inputs)
    case 'pick':
      return pickLeaf(node, inputs)
    case 'elapsed': {
      const { k, pick, op, value } = node
      return { k, input: inputs.numberOf(node, undefined), pick, op, value: String(value) }
    }
  }
}

function pickLeaf(node: PickNode, inputs: Inputs): PickLeaf {
  const { k, pick, prop, op, value } = node
  const { window, reach, clock } = openWindow(node.window, inputs)
  const input = inputs.numberOf(node, reach, { props: [prop], clock })
  return { k, pick, prop, op, ...(value === undefined ? {} : { value }), input, window }
}

function aggLeaf(node: AggNode, inputs: Inputs): AggLeaf {
  const isRevenue = node.prop === 'revenue' && node.agg !== 'distinct'
  const prop = isRevenue ? '' : (node.prop ?? '')
  const { window, reach, clock } = openWindow(node.window, inputs)
  return {
    k: 'agg',
    input: inputs.numberOf(node, reach, { props: prop === '' ? [] : [prop], clock }),
    window,
    agg: node.agg,
    prop,
    currency: isRevenue ? (node.currency ?? 'USD') : '',
    ...(node.tz === undefined ? {} : { tz: node.tz }),
    op: node.op,
    value: thresholdOf(node),
  }
}

/** Thresholds of revenue are compared in minor units, as exact decimal text. */
function thresholdOf(node: AggNode): string {
  if (node.prop !== 'revenue' || node.unit === 'minor' || node.agg === 'distinct') return String(node.value)
  return String(toMinorUnits(node.value, node.currency ?? 'USD') ?? node.value)
}

function absenceLeaf(node: AbsenceNode, inputs: Inputs): AbsenceLeaf {
  const { window, reach, clock } = openWindow(node.window, inputs)
  const input = inputs.numberOf(node, reach, { clock })
  return { k: 'absence', input, window, requireProfileAge: node.requireProfileAge ?? false }
}

function sequenceLeaf(node: SequenceNode, inputs: Inputs): SequenceLeaf {
  const { window, reach, clock } = openWindow(node.window, inputs)
  const same = [
    ...new Set(
      [...node.steps, ...(node.none === undefined ? [] : [node.none])].flatMap((step) => step.same ?? []),
    ),
  ]
  const steps = node.steps.map((step): PlanStep => {
    const withinMs = step.within === undefined ? undefined : parseDuration(step.within)
    return {
      input: inputs.numberOf(step, reach, { props: same, clock }),
      ...(withinMs === undefined ? {} : { withinMs }),
      same: step.same ?? [],
    }
  })
  const { none } = node
  return {
    k: 'seq',
    window,
    anchor: node.anchor ?? 'any',
    min: node.min ?? 1,
    steps,
    ...(none === undefined
      ? {}
      : {
          none: {
            input: inputs.numberOf(none, reach, { props: same }),
            withinMs: parseDuration(none.within) ?? 0,
            same: none.same ?? [],
            until: none.until ?? 'deadline',
          },
        }),
  }
}

/** A window, how far back it looks, and the clock that picks the events in it; its own events get an input too. */
function openWindow(window: Window, inputs: Inputs) {
  const opened = windowOf(window, (events) => inputs.numberOf(events, undefined))
  const zone = window.k === 'calendar' ? window.tz : undefined
  const clock = window.clock === undefined ? undefined : compileClock(window.clock, zone)
  return { window: opened, reach: reachOf(opened), clock }
}
