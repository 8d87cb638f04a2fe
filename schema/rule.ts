// The segment rule language: one JSON document, discriminated by `k`; names follow shared use in the field. Types, JSON
// Schema and limits come from here; domain/segments/parse checks a rule with errors that name the path of a fault.
//
// Instants: a value at T uses events with from < time <= T, so that an event leaves a window of 30 days exactly 30 × 86,400 s
// after its time. Two-valued: no events make count and sum 0 and everything else false; a missing trait makes every
// condition false but `missing`.
import Type, { type Static, type TSchema } from 'typebox'

/** Limits that an error names; a rule within them costs a bounded pass. */
export const RULE_LIMITS = {
  leaves: 50,
  depth: 8,
  listItems: 200,
  textLength: 500,
  filters: 20,
  steps: 8,
  segments: 8,
} as const

export const COMPARISONS = ['gt', 'gte', 'lt', 'lte', 'eq', 'ne'] as const
export type Comparison = (typeof COMPARISONS)[number]

/** Those of the last line compare with a list: `in` the value itself, the others each item of an array. */
export const TRAIT_OPS = [
  ...COMPARISONS,
  'exists',
  'missing',
  'contains',
  'startsWith',
  'endsWith',
  'in',
  'anyOf',
  'allOf',
  'noneOf',
] as const
export type TraitOp = (typeof TRAIT_OPS)[number]
export const LIST_OPS: readonly TraitOp[] = ['in', 'anyOf', 'allOf', 'noneOf']

export const AGGREGATES = ['count', 'sum', 'min', 'max', 'avg', 'distinct'] as const
export type Aggregate = (typeof AGGREGATES)[number]

export const CALENDAR_UNITS = ['day', 'week', 'month', 'quarter', 'year'] as const
export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

const text = (description: string) =>
  Type.String({ minLength: 1, maxLength: RULE_LIMITS.textLength, description })
const duration = (description: string) =>
  Type.String({ description: `${description}; a fixed ISO 8601 duration: P30D, PT24H`, examples: ['P30D'] })
const oneOf = <const T extends readonly string[]>(words: T) => Type.Unsafe<T[number]>(Type.Enum([...words]))
const object = <T extends Record<string, TSchema>>(properties: T) =>
  Type.Object(properties, { additionalProperties: false })

export const SCALAR_TYPES = ['string', 'number', 'boolean'] as const
const Scalar = Type.Union([Type.String({ maxLength: RULE_LIMITS.textLength }), Type.Number(), Type.Boolean()])
export type Scalar = Static<typeof Scalar>

const Condition = {
  op: oneOf(TRAIT_OPS),
  value: Type.Optional(
    Type.Union([Scalar, Type.Array(Scalar, { minItems: 1, maxItems: RULE_LIMITS.listItems })]),
  ),
}

const PropertyFilter = object({ prop: text('Name of a property'), ...Condition })
export type PropertyFilter = Static<typeof PropertyFilter>

/** Which time a calendar window and an anniversary go by: a named zone, or the one that a trait of the person names. */
const Zone = Type.Union([
  text('IANA time zone'),
  object({ trait: text('Trait that holds an IANA time zone') }),
])
export type Zone = Static<typeof Zone>

const Window = Type.Union([
  object({ k: Type.Literal('rolling'), last: duration('Up to now') }),
  object({
    k: Type.Literal('between'),
    from: duration('Ages from this'),
    to: duration('up to, and not including, this'),
  }),
  object({
    k: Type.Literal('calendar'),
    unit: oneOf(CALENDAR_UNITS),
    offset: Type.Optional(
      Type.Integer({ minimum: -120, maximum: 0, description: '0 = this one, -1 = the last' }),
    ),
    count: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 120, description: 'So many of them, ending there' }),
    ),
    tz: Type.Optional(Zone),
    weekStart: Type.Optional(oneOf(WEEKDAYS)),
  }),
  object({ k: Type.Literal('absolute'), from: text('After this instant'), to: text('Up to this instant') }),
  object({ k: Type.Literal('lifetime') }),
])
export type Window = Static<typeof Window>

/** Which events: the name of a track call, or another type of call, with its name or all of it. */
const Events = {
  event: text('Event name of a track call, name of a page or screen'),
  type: Type.Optional(Type.String()),
  where: Type.Optional(Type.Array(PropertyFilter, { maxItems: RULE_LIMITS.filters })),
}

const AggNode = object({
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
  window: Window,
  op: oneOf(COMPARISONS),
  value: Type.Union([Type.Number(), Type.String()]),
})
export type AggNode = Static<typeof AggNode>

const PickNode = object({
  k: Type.Literal('pick'),
  ...Events,
  pick: oneOf(['first', 'last']),
  prop: text('Property of that event'),
  window: Window,
  ...Condition,
})
export type PickNode = Static<typeof PickNode>

const TimeNode = object({
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
  anchor: Type.Optional(oneOf(['any', 'first', 'latest'])),
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
    DateNode,
    AnniversaryNode,
    GeoNode,
    SampleNode,
    SegmentNode,
    ListNode,
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
