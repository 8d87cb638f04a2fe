// The segment rule language: one JSON document, discriminated by `k`; names follow shared use in the field. Types, JSON
// Schema and limits come from here; domain/segments/parse checks a rule with errors that name the path of a fault.
//
// Instants: a value at T uses events with from < time <= T, so that an event leaves a window of 30 days exactly 30 × 86,400 s
// after its time. Two-valued: no events make count and sum 0 and everything else false; a missing trait makes every
// condition false but `missing`.
import Type, { type Static } from 'typebox'
import { CategoryNode, MessageNode, ReachNode } from './rule-contact.ts'
import {
  AGGREGATES,
  COMPARISONS,
  Condition,
  duration,
  Events,
  object,
  oneOf,
  RULE_LIMITS,
  SCALAR_TYPES,
  Scalar,
  text,
  Window,
  Zone,
} from './rule-parts.ts'

export * from './rule-parts.ts'
export type { CategoryNode, MessageNode, ReachNode }

export const AggNode = object({
  k: Type.Literal('agg'),
  ...Events,
  agg: oneOf(AGGREGATES),
  prop: Type.Optional(
    text('`revenue` is the purchase value of Order Completed; any other is a number in the properties'),
  ),
  unit: Type.Optional(oneOf(['major', 'minor'])),
  currency: Type.Optional(
    Type.String({ pattern: '^[A-Z]{3}$', description: 'Revenue is summed in one; USD' }),
  ),
  tz: Type.Optional(Zone),
  window: Window,
  op: oneOf(COMPARISONS),
  value: Type.Union([Type.Number(), Type.String()]),
})
export type AggNode = Static<typeof AggNode>

export const PickNode = object({
  k: Type.Literal('pick'),
  ...Events,
  pick: oneOf(['first', 'last']),
  prop: text('Property of that event'),
  window: Window,
  ...Condition,
})
export type PickNode = Static<typeof PickNode>

export const TimeNode = object({
  k: Type.Literal('time'),
  ...Events,
  pick: oneOf(['first', 'last']),
  op: oneOf(['within', 'olderThan']),
  ago: duration('Before now'),
})
export type TimeNode = Static<typeof TimeNode>

const AbsenceNode = object({
  k: Type.Literal('absence'),
  ...Events,
  window: Window,
  requireProfileAge: Type.Optional(
    Type.Boolean({ description: 'Only who was first seen before the window began; rolling windows' }),
  ),
})
export type AbsenceNode = Static<typeof AbsenceNode>

const Step = object({
  ...Events,
  within: Type.Optional(duration('At most so long after the step before')),
  same: Type.Optional(
    Type.Array(text('Property whose value is that of the first step'), { minItems: 1, maxItems: 5 }),
  ),
})
const SequenceNode = object({
  k: Type.Literal('seq'),
  window: Window,
  anchor: Type.Optional(
    Type.Union([
      oneOf(['any', 'first', 'latest']),
      object({
        kth: Type.Integer({ minimum: 1, maximum: 1000, description: 'From the oldest in the window' }),
      }),
    ]),
  ),
  min: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 1000, description: 'So many events of the first step' }),
  ),
  steps: Type.Array(Step, { minItems: 1, maxItems: RULE_LIMITS.steps }),
  none: Type.Optional(
    object({
      ...Events,
      within: duration('After the last step'),
      same: Type.Optional(
        Type.Array(text('Property whose value is that of the first step'), { minItems: 1, maxItems: 5 }),
      ),
      until: Type.Optional(oneOf(['deadline', 'now'])),
    }),
  ),
})
export type SequenceNode = Static<typeof SequenceNode>

const TraitNode = object({
  k: Type.Literal('trait'),
  path: text('Name of a trait, or a path into it: address.city'),
  type: Type.Optional(oneOf(SCALAR_TYPES)),
  orMissing: Type.Optional(
    Type.Boolean({ description: 'ne and noneOf: also true of who has no such trait' }),
  ),
  ...Condition,
})
export type TraitNode = Static<typeof TraitNode>

const DwellNode = object({
  k: Type.Literal('dwell'),
  path: text('Name of a trait, or a path into it'),
  type: Type.Optional(oneOf(SCALAR_TYPES)),
  value: Scalar,
  for: duration('So long unbroken'),
})
export type DwellNode = Static<typeof DwellNode>

const DateNode = object({
  k: Type.Literal('date'),
  path: text('Trait that holds a date (2026-11-29) or an instant'),
  op: oneOf(['within', 'olderThan', 'inNext', 'furtherThan', 'before', 'after']),
  value: text('A duration, or for before and after an instant'),
})
export type DateNode = Static<typeof DateNode>

const AnniversaryNode = object({
  k: Type.Literal('anniversary'),
  path: text('Trait that holds a date'),
  offset: Type.Optional(
    Type.Integer({ minimum: -365, maximum: 365, description: 'Days after it, or before it where negative' }),
  ),
  tz: Type.Optional(Zone),
  leapDay: Type.Optional(oneOf(['feb28', 'mar1'])),
})
export type AnniversaryNode = Static<typeof AnniversaryNode>

const GeoNode = object({
  k: Type.Literal('geo'),
  path: text('Trait with lat and lon, or latitude and longitude; for countries a code'),
  circle: Type.Optional(object({ lat: Type.Number(), lon: Type.Number(), metres: Type.Number() })),
  box: Type.Optional(
    object({ south: Type.Number(), west: Type.Number(), north: Type.Number(), east: Type.Number() }),
  ),
  countries: Type.Optional(Type.Array(Type.String(), { minItems: 1, maxItems: RULE_LIMITS.listItems })),
})
export type GeoNode = Static<typeof GeoNode>

const SampleNode = object({
  k: Type.Literal('sample'),
  salt: text('Another salt, another sample'),
  from: Type.Integer({ minimum: 0, maximum: 9999 }),
  to: Type.Integer({ minimum: 0, maximum: 9999, description: 'Both ends belong to it' }),
})
export type SampleNode = Static<typeof SampleNode>

const SegmentNode = object({
  k: Type.Literal('segment'),
  segment: Type.String({ pattern: '^[a-z0-9][a-z0-9_-]{0,62}$', description: 'Slug of another segment' }),
})
export type SegmentNode = Static<typeof SegmentNode>

const ListNode = object({
  k: Type.Literal('list'),
  list: Type.String({
    pattern: '^[a-z0-9][a-z0-9_-]{0,62}$',
    description: 'Slug of an uploaded list: whether any user id of the person is in it',
  }),
})
export type ListNode = Static<typeof ListNode>

const ComputedNode = object({
  k: Type.Literal('computed'),
  metric: Type.String({ pattern: '^[a-z0-9][a-z0-9_-]{0,62}$', description: 'Slug of a metric' }),
  ...Condition,
})
export type ComputedNode = Static<typeof ComputedNode>

const QuantileNode = object({
  k: Type.Literal('quantile'),
  metric: Type.String({ pattern: '^[a-z0-9][a-z0-9_-]{0,62}$', description: 'Slug of a metric' }),
  from: Type.Number({ minimum: 0, maximum: 1, description: 'A hundredth of those who have a value' }),
  to: Type.Number({ minimum: 0, maximum: 1, description: '0.2 to 0.4 = the second quintile from below' }),
})
export type QuantileNode = Static<typeof QuantileNode>

const Node = Type.Ref('Node')
const Language = Type.Module({
  Node: Type.Union([
    object({ k: Type.Literal('all'), of: Type.Array(Node, { minItems: 1 }) }),
    object({ k: Type.Literal('any'), of: Type.Array(Node, { minItems: 1 }) }),
    object({
      k: Type.Literal('atLeast'),
      n: Type.Integer({ minimum: 1 }),
      of: Type.Array(Node, { minItems: 1 }),
    }),
    object({ k: Type.Literal('not'), of: Node }),
    TraitNode,
    DwellNode,
    DateNode,
    AnniversaryNode,
    GeoNode,
    SampleNode,
    SegmentNode,
    ListNode,
    ComputedNode,
    QuantileNode,
    ReachNode,
    CategoryNode,
    MessageNode,
    AggNode,
    PickNode,
    TimeNode,
    AbsenceNode,
    SequenceNode,
  ]),
  Rule: object({
    $schema: Type.Optional(Type.Literal('segment/1')),
    name: Type.Optional(Type.String()),
    match: Node,
  }),
})

export type RuleNode = Static<typeof Language.Node>
export type Rule = Static<typeof Language.Rule>
/** JSON Schema 2020-12 of a rule. */
export const RuleSchema = Language.Rule
