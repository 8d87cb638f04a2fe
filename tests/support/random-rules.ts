// Random rules for the segment oracle, over what random-lives.ts makes.
import fc from 'fast-check'
import {
  AGGREGATES,
  CALENDAR_UNITS,
  COMPARISONS,
  type GeoNode,
  LIST_OPS,
  type PropertyFilter,
  type RuleNode,
  type Scalar,
  TRAIT_OPS,
  type TraitOp,
  WEEKDAYS,
  type Window,
  type Zone,
} from '../../schema/rule.ts'
import { HOUR, LISTS, START, texts } from './random-lives.ts'

const scalars: fc.Arbitrary<Scalar> = fc.oneof(
  fc.constantFrom(...texts),
  fc.constantFrom(0, 1, 2, 2.5, 10, -3),
  fc.boolean(),
)

/** Lord Howe changes by half an hour, Apia skipped a day, São Paulo changed at midnight. */
const zone: fc.Arbitrary<Zone> = fc.constantFrom(
  'Europe/Berlin',
  'America/Sao_Paulo',
  'Australia/Lord_Howe',
  'Pacific/Apia',
  'UTC',
  { trait: 'zone' },
)
const span = fc.constantFrom('PT1H', 'PT3H', 'PT6H', 'P1D')

const window: fc.Arbitrary<Window> = fc.oneof(
  { weight: 4, arbitrary: span.map((last) => ({ k: 'rolling' as const, last })) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(['PT1H', 'PT3H'] as const, ['PT30M', 'PT6H'] as const, ['PT6H', 'P2D'] as const)
      .map(([from, to]) => ({ k: 'between' as const, from, to })),
  },
  {
    weight: 2,
    arbitrary: fc
      .record(
        {
          unit: fc.constantFrom(...CALENDAR_UNITS),
          offset: fc.integer({ min: -2, max: 0 }),
          count: fc.integer({ min: 1, max: 3 }),
          tz: zone,
          weekStart: fc.constantFrom(...WEEKDAYS),
        },
        { requiredKeys: ['unit'] },
      )
      .map((rest) => ({ k: 'calendar' as const, ...rest })),
  },
  { weight: 1, arbitrary: fc.constant({ k: 'lifetime' as const }) },
  {
    weight: 1,
    arbitrary: fc
      .record({ from: fc.integer({ min: -12, max: 0 }), hours: fc.integer({ min: 1, max: 12 }) })
      .map(({ from, hours }) => ({
        k: 'absolute' as const,
        from: new Date(START + from * HOUR).toISOString(),
        to: new Date(START + (from + hours) * HOUR).toISOString(),
      })),
  },
)

type Condition = { op: TraitOp; value?: Scalar | Scalar[] }

/** A condition on a trait or property: operator and a value it takes. */
const condition = fc.constantFrom(...TRAIT_OPS).chain((op): fc.Arbitrary<Condition> => {
  if (op === 'exists' || op === 'missing') return fc.constant({ op })
  if (LIST_OPS.includes(op))
    return fc.array(scalars, { minLength: 1, maxLength: 3 }).map((value) => ({ op, value }))
  if (op === 'contains' || op === 'startsWith' || op === 'endsWith')
    return fc.constantFrom(...texts).map((value) => ({ op, value }))
  return scalars.map((value) => ({ op, value }))
})

/** Filters on the properties that `life` gives. */
const filters = fc.array(
  fc
    .record({ prop: fc.constantFrom('sku', 'qty', 'tags', 'none') })
    .chain((prop) => condition.map((rest) => ({ ...prop, ...rest }))),
  { minLength: 1, maxLength: 2 },
)

type Events = { event: string; type?: string; where?: PropertyFilter[] }
const CALLS: Events[] = [
  { event: 'Order Completed' },
  { event: 'Viewed' },
  { event: 'Never' },
  { event: 'Home', type: 'page' },
]

/** Which events; a filter now and then. */
const events: fc.Arbitrary<Events> = fc
  .record({ call: fc.constantFrom(...CALLS), where: fc.option(filters, { nil: undefined, freq: 3 }) })
  .map(({ call, where }) => ({ ...call, ...(where === undefined ? {} : { where }) }))

const aggregate: fc.Arbitrary<RuleNode> = fc
  .record({
    agg: fc.constantFrom(...AGGREGATES, 'count' as const, 'count' as const),
    events,
    revenue: fc.boolean(),
    window,
    op: fc.constantFrom(...COMPARISONS),
    count: fc.integer({ min: 0, max: 4 }),
    amount: fc.constantFrom(0, 5, 10, 12.5, 20, '19.99', '30.00', -1),
  })
  .map(({ agg, events, revenue, window, op, count, amount }) => {
    const node = { k: 'agg' as const, ...events, agg, window, op }
    if (agg === 'count') return { ...node, value: count }
    if (agg === 'distinct') return { ...node, prop: 'sku', value: count }
    const prop = revenue ? 'revenue' : 'qty'
    return { ...node, prop, value: revenue ? amount : Math.round(Number(amount)) }
  })

const pick: fc.Arbitrary<RuleNode> = fc
  .record({ events, pick: fc.constantFrom('first' as const, 'last' as const), window, condition })
  .map(({ events, pick, window, condition }) => ({
    k: 'pick' as const,
    ...events,
    pick,
    prop: 'sku',
    window,
    ...condition,
  }))

const time: fc.Arbitrary<RuleNode> = fc
  .record({
    events,
    pick: fc.constantFrom('first' as const, 'last' as const),
    op: fc.constantFrom('within' as const, 'olderThan' as const),
    ago: span,
  })
  .map(({ events, ...rest }) => ({ k: 'time' as const, ...events, ...rest }))

const absence: fc.Arbitrary<RuleNode> = fc
  .record({ events, window, requireProfileAge: fc.boolean() })
  .map(({ events, window, requireProfileAge }) => ({
    k: 'absence' as const,
    ...events,
    window,
    ...(requireProfileAge && window.k === 'rolling' ? { requireProfileAge } : {}),
  }))

const same = fc.constantFrom<string[]>(['sku'], ['qty'], ['sku', 'qty'])
const sequence: fc.Arbitrary<RuleNode> = fc
  .record({
    window,
    options: fc.record(
      {
        anchor: fc.constantFrom('any' as const, 'first' as const, 'latest' as const),
        min: fc.integer({ min: 1, max: 2 }),
        none: fc
          .record({
            events,
            within: span,
            rest: fc.record(
              { same, until: fc.constantFrom('deadline' as const, 'now' as const) },
              { requiredKeys: [] },
            ),
          })
          .map(({ events, within, rest }) => ({ ...events, within, ...rest })),
      },
      { requiredKeys: [] },
    ),
    first: events,
    others: fc.array(
      fc
        .record({ events, rest: fc.record({ within: span, same }, { requiredKeys: [] }) })
        .map(({ events, rest }) => ({ ...events, ...rest })),
      { maxLength: 2 },
    ),
  })
  .map(({ window, options, first, others }) => ({
    k: 'seq' as const,
    window,
    ...options,
    steps: [first, ...others],
  }))

const trait: fc.Arbitrary<RuleNode> = fc
  .record({ path: fc.constantFrom('plan', 'age', 'tags', 'vip', 'none'), condition, orMissing: fc.boolean() })
  .map(({ path, condition, orMissing }) => ({
    k: 'trait' as const,
    path,
    ...condition,
    ...(orMissing && (condition.op === 'ne' || condition.op === 'noneOf') ? { orMissing } : {}),
  }))

const date: fc.Arbitrary<RuleNode> = fc
  .record({
    path: fc.constantFrom('born', 'due'),
    op: fc.constantFrom('within', 'olderThan', 'inNext', 'furtherThan', 'before', 'after'),
    value: fc.constantFrom('PT3H', 'P1D', 'P365D'),
  })
  .map(({ path, op, value }) => ({
    k: 'date' as const,
    path,
    op,
    value: op === 'before' || op === 'after' ? new Date(START).toISOString() : value,
  }))

const anniversary: fc.Arbitrary<RuleNode> = fc
  .record(
    {
      path: fc.constantFrom('born', 'due'),
      offset: fc.integer({ min: -2, max: 2 }),
      tz: zone,
      leapDay: fc.constantFrom('feb28' as const, 'mar1' as const),
    },
    { requiredKeys: ['path'] },
  )
  .map((rest) => ({ k: 'anniversary' as const, ...rest }))

const geo: fc.Arbitrary<RuleNode> = fc
  .constantFrom<Omit<GeoNode, 'k'>>(
    { path: 'home', circle: { lat: 52.52, lon: 13.405, metres: 30_000 } },
    { path: 'home', circle: { lat: 0, lon: 179.9, metres: 50_000 } },
    { path: 'home', box: { south: -1, west: 179, north: 1, east: -179 } },
    { path: 'home', box: { south: 50, west: 10, north: 55, east: 14 } },
    { path: 'country', countries: ['JP', 'DE'] },
  )
  .map((place) => ({ k: 'geo' as const, ...place }))

const sample: fc.Arbitrary<RuleNode> = fc
  .record({ salt: fc.constantFrom('a', 'b'), from: fc.integer({ min: 0, max: 5000 }) })
  .map(({ salt, from }) => ({ k: 'sample' as const, salt, from, to: from + 4999 }))

const list: fc.Arbitrary<RuleNode> = fc.constantFrom(...LISTS).map((list) => ({ k: 'list' as const, list }))

const leaf = fc.oneof(
  { weight: 8, arbitrary: aggregate },
  { weight: 3, arbitrary: sequence },
  ...[pick, time, absence, trait, date, anniversary, geo, sample, list].map((arbitrary) => ({
    weight: 1,
    arbitrary,
  })),
)

export const ruleNode: fc.Arbitrary<RuleNode> = fc.letrec<{ node: RuleNode }>((tie) => {
  const children = fc.array(tie('node'), { minLength: 1, maxLength: 3 })
  return {
    node: fc.oneof(
      { maxDepth: 3, withCrossShrink: true },
      { weight: 3, arbitrary: leaf },
      { weight: 1, arbitrary: children.map((of) => ({ k: 'all' as const, of })) },
      { weight: 1, arbitrary: children.map((of) => ({ k: 'any' as const, of })) },
      { weight: 1, arbitrary: tie('node').map((of) => ({ k: 'not' as const, of })) },
      {
        weight: 1,
        arbitrary: children.chain((of) =>
          fc.integer({ min: 1, max: of.length }).map((n) => ({ k: 'atLeast' as const, n, of })),
        ),
      },
    ),
  }
}).node
