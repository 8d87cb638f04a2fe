// What the conditions of a rule are made of: limits, operators, filters on properties, zones and windows. schema/rule.ts
// puts them together, and is what everybody asks.
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
  patternLength: 200,
  /** Instructions that a pattern of `matches` is compiled to: what a character of a text costs at the most. */
  patternSize: 300,
  /** Characters of a text that `matches` looks at; a longer one matches nothing. */
  matchedLength: 2000,
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
  'like',
  'matches',
  'in',
  'anyOf',
  'allOf',
  'noneOf',
] as const
export type TraitOp = (typeof TRAIT_OPS)[number]
export const LIST_OPS: readonly TraitOp[] = ['in', 'anyOf', 'allOf', 'noneOf']

export const AGGREGATES = ['count', 'sum', 'min', 'max', 'avg', 'distinct', 'days', 'span'] as const
export type Aggregate = (typeof AGGREGATES)[number]

export const CALENDAR_UNITS = ['day', 'week', 'month', 'quarter', 'year'] as const
export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

export const text = (description: string) =>
  Type.String({ minLength: 1, maxLength: RULE_LIMITS.textLength, description })
export const duration = (description: string) =>
  Type.String({ description: `${description}; a fixed ISO 8601 duration: P30D, PT24H`, examples: ['P30D'] })
export const oneOf = <const T extends readonly string[]>(words: T) =>
  Type.Unsafe<T[number]>(Type.Enum([...words]))
export const object = <T extends Record<string, TSchema>>(properties: T) =>
  Type.Object(properties, { additionalProperties: false })

export const SCALAR_TYPES = ['string', 'number', 'boolean'] as const
export const Scalar = Type.Union([
  Type.String({ maxLength: RULE_LIMITS.textLength }),
  Type.Number(),
  Type.Boolean(),
])
export type Scalar = Static<typeof Scalar>

export const Condition = {
  op: oneOf(TRAIT_OPS),
  value: Type.Optional(
    Type.Union([Scalar, Type.Array(Scalar, { minItems: 1, maxItems: RULE_LIMITS.listItems })]),
  ),
}

const PropertyFilter = object({ prop: text('Name of a property'), ...Condition })
export type PropertyFilter = Static<typeof PropertyFilter>

/** Which time a calendar window and an anniversary go by: a named zone, or the one that a trait of the person names. */
export const Zone = Type.Union([
  text('IANA time zone'),
  object({ trait: text('Trait that holds an IANA time zone') }),
])
export type Zone = Static<typeof Zone>

/** Which events: the name of a track call, or another type of call, with its name or all of it. */
export const Events = {
  event: Type.String({
    maxLength: RULE_LIMITS.textLength,
    description:
      'Event name of a track call, name of a page or screen; empty = all of a type other than track',
  }),
  type: Type.Optional(Type.String()),
  where: Type.Optional(Type.Array(PropertyFilter, { maxItems: RULE_LIMITS.filters })),
}

const TIME_OF_DAY = '^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$'

/** Of a window only what happened on these days of the week, and in these hours of the day, by a local clock. */
const Clock = object({
  dow: Type.Optional(Type.Array(oneOf(WEEKDAYS), { minItems: 1, maxItems: 7, uniqueItems: true })),
  hours: Type.Optional(
    object({
      from: Type.String({
        pattern: TIME_OF_DAY,
        description: 'From this time of the day',
        examples: ['09:00'],
      }),
      to: Type.String({
        pattern: TIME_OF_DAY,
        description: 'up to, and not including, this; over midnight where it is the earlier one',
        examples: ['17:30'],
      }),
    }),
  ),
  tz: Type.Optional(Zone),
})
export type Clock = Static<typeof Clock>
const clock = Type.Optional(Clock)

export const Window = Type.Union([
  object({ k: Type.Literal('rolling'), last: duration('Up to now'), clock }),
  object({
    k: Type.Literal('between'),
    from: duration('Ages from this'),
    to: duration('up to, and not including, this'),
    clock,
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
    clock,
  }),
  object({
    k: Type.Literal('absolute'),
    from: text('After this instant'),
    to: text('Up to this instant'),
    clock,
  }),
  object({ k: Type.Literal('lifetime'), clock }),
  object({
    k: Type.Literal('since'),
    anchor: object({
      ...Events,
      pick: oneOf(['first', 'last']),
    }),
    clock,
  }),
])
export type Window = Static<typeof Window>
