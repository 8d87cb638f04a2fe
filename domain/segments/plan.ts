// Compiles a rule into a plan: what workers run. Leaves that read the same events share an input; the expression refers
// to leaves, and leaves to inputs, by number. A plan is plain JSON, immutable, stored with its version. Pure.
import type {
  AbsenceNode,
  AggNode,
  Aggregate,
  AnniversaryNode,
  Comparison,
  DateNode,
  DwellNode,
  GeoNode,
  ListNode,
  PickNode,
  PropertyFilter,
  Rule,
  RuleNode,
  SampleNode,
  SegmentNode,
  SequenceNode,
  TimeNode,
  TraitNode,
  Window,
} from '../../schema/rule.ts'
import { toMinorUnits } from '../money.ts'
import { compileClock, type PlanClock } from './clock.ts'
import { parseDuration } from './durations.ts'
import { type PlanWindow, reachOf, windowOf } from './plan-windows.ts'

/** Rises when plans are made in another way: stored plans of before are compiled again from their rule when they are read. */
export const PLAN_VERSION = 4

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
  /** How far back it is read from the instant that is asked for, ms; absent = without limit. */
  lastMs?: number
}

export type AggLeaf = {
  k: 'agg'
  input: number
  window: PlanWindow
  agg: Aggregate
  /** '' for counts; with `currency` the purchase value in minor units of that currency instead of a property. */
  prop: string
  currency: string
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
export type Leaf =
  | TraitNode
  | DwellNode
  | DateNode
  | AnniversaryNode
  | GeoNode
  | SampleNode
  | SegmentNode
  | ListNode
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

export function compileRule(rule: Rule): Plan {
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
        leaves.push(leafOf(node, inputs))
        return { k: 'leaf', leaf: leaves.length - 1 }
    }
  }
  const expr = walk(rule.match)
  return { planVersion: PLAN_VERSION, inputs: inputs.all(), leaves, expr }
}

type LeafNode = Exclude<RuleNode, { k: 'all' | 'any' | 'atLeast' | 'not' }>

function leafOf(node: LeafNode, inputs: Inputs): Leaf {
  switch (node.k) {
    case 'agg':
      return aggLeaf(node, inputs)
    case 'pick': {
      const { k, pick, prop, op, value } = node
      const { window, reach, clock } = openWindow(node.window, inputs)
      const input = inputs.numberOf(node, reach, [prop], clock)
      return { k, pick, prop, op, ...(value === undefined ? {} : { value }), input, window }
    }
    case 'time': {
      const { k, pick, op } = node
      return { k, pick, op, input: inputs.numberOf(node, undefined), agoMs: parseDuration(node.ago) ?? 0 }
    }
    case 'absence':
      return absenceLeaf(node, inputs)
    case 'seq':
      return sequenceLeaf(node, inputs)
    default:
      return node
  }
}

function aggLeaf(node: AggNode, inputs: Inputs): AggLeaf {
  const isRevenue = node.prop === 'revenue' && node.agg !== 'distinct'
  const prop = isRevenue ? '' : (node.prop ?? '')
  const { window, reach, clock } = openWindow(node.window, inputs)
  return {
    k: 'agg',
    input: inputs.numberOf(node, reach, prop === '' ? [] : [prop], clock),
    window,
    agg: node.agg,
    prop,
    currency: isRevenue ? (node.currency ?? 'USD') : '',
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
  const input = inputs.numberOf(node, reach, [], clock)
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
      input: inputs.numberOf(step, reach, same, clock),
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
            input: inputs.numberOf(none, reach, same),
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

type Events = { event: string; type?: string; where?: PropertyFilter[] }
type Inputs = {
  numberOf(events: Events, reachMs: number | undefined, props?: string[], clock?: PlanClock): number
  all(): Input[]
}

function collectInputs(): Inputs {
  const inputs: Input[] = []
  const numbers = new Map<string, number>()
  return {
    numberOf({ event, type = 'track', where = [] }, reachMs, props = [], clock) {
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
      if (reachMs === undefined) delete input.lastMs
      else if (input.lastMs !== undefined) input.lastMs = Math.max(input.lastMs, reachMs)
      return number
    },
    all: () => inputs,
  }
}
