// Random rules and random lives for the segment oracle: times fall on a grid of hours and one millisecond beside it, so
// that many events lie exactly on the edge of a window.
import fc from 'fast-check'
import {
  AGGREGATES,
  COMPARISONS,
  type RuleNode,
  type Scalar,
  TRAIT_OPS,
  type TraitOp,
  type Window,
} from '../../schema/rule.ts'
import type { OracleEvent } from './segment-oracle.ts'

export const HOUR = 3_600_000
export const START = Date.UTC(2026, 10, 18, 12)

const texts = ['a', 'B', 'ab', 'Ä', 'z🎉', '🎉', '', 'a.b', "o'x"]
const scalars: fc.Arbitrary<Scalar> = fc.oneof(
  fc.constantFrom(...texts),
  fc.constantFrom(0, 1, 2, 2.5, 10, -3),
  fc.boolean(),
)

const window: fc.Arbitrary<Window> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .constantFrom('PT1H', 'PT3H', 'PT6H', 'P1D')
      .map((last) => ({ k: 'rolling' as const, last })),
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
  if (op === 'in') return fc.array(scalars, { minLength: 1, maxLength: 3 }).map((value) => ({ op, value }))
  if (op === 'contains' || op === 'startsWith' || op === 'endsWith')
    return fc.constantFrom(...texts).map((value) => ({ op, value }))
  return scalars.map((value) => ({ op, value }))
})

/** Filters on the properties that `life` gives. */
export const filters = fc.array(
  fc
    .record({ prop: fc.constantFrom('sku', 'qty', 'tags', 'none') })
    .chain((prop) => condition.map((rest) => ({ ...prop, ...rest }))),
  { minLength: 1, maxLength: 2 },
)

const aggregate: fc.Arbitrary<RuleNode> = fc
  .record({
    agg: fc.constantFrom(...AGGREGATES, 'count' as const, 'count' as const),
    call: fc.constantFrom(
      { event: 'Order Completed' },
      { event: 'Viewed' },
      { event: 'Never' },
      { event: 'Home', type: 'page' },
    ),
    revenue: fc.boolean(),
    where: fc.option(filters, { nil: undefined, freq: 3 }),
    window,
    op: fc.constantFrom(...COMPARISONS),
    count: fc.integer({ min: 0, max: 4 }),
    amount: fc.constantFrom(0, 5, 10, 12.5, 20, '19.99', '30.00', -1),
  })
  .map(({ agg, call, revenue, where, window, op, count, amount }) => ({
    k: 'agg' as const,
    ...call,
    agg,
    ...(agg === 'count' ? {} : { prop: revenue ? 'revenue' : 'qty' }),
    ...(where === undefined ? {} : { where }),
    window,
    op,
    value: agg === 'count' ? count : revenue ? amount : Math.round(Number(amount)),
  }))

const trait: fc.Arbitrary<RuleNode> = fc
  .constantFrom('plan', 'age', 'tags', 'vip', 'none')
  .chain((path) => condition.map((rest) => ({ k: 'trait' as const, path, ...rest })))

const leaf = fc.oneof({ weight: 4, arbitrary: aggregate }, { weight: 1, arbitrary: trait })

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

/** From a day before START to a few minutes after it, often on the grid or a millisecond beside it. */
const time = fc
  .record({ hours: fc.integer({ min: -24, max: 0 }), beside: fc.constantFrom(0, 0, -1, 1, 240_000) })
  .map(({ hours, beside }) => START + hours * HOUR + beside)

export const life: fc.Arbitrary<OracleEvent[]> = fc.array(
  fc
    .record({
      call: fc.constantFrom(
        { type: 'track', name: 'Order Completed' },
        { type: 'track', name: 'Order Completed' },
        { type: 'track', name: 'Viewed' },
        { type: 'page', name: 'Home' },
      ),
      time,
      cents: fc.constantFrom(0, 500, 1000, 1250, 1999, 3000),
      currency: fc.constantFrom('USD', 'USD', 'EUR'),
      properties: fc.record(
        {
          sku: fc.oneof(fc.constantFrom(...texts), fc.constant(null), fc.integer({ min: 0, max: 2 })),
          qty: fc.oneof(fc.constantFrom<unknown>(0, 1, 2, 2.5, 10, -3, '2', null, true)),
          tags: fc.array(fc.constantFrom<Scalar>('a', 'B', 1), { maxLength: 3 }),
        },
        { requiredKeys: [] },
      ),
    })
    .map(({ call, time, cents, currency, properties }) => ({
      ...call,
      time,
      ...(call.name === 'Order Completed' ? { value: cents, currency } : {}),
      properties,
    })),
  { minLength: 1, maxLength: 10 },
)

export const traits = fc.record(
  {
    plan: fc.constantFrom(...texts),
    age: fc.constantFrom<unknown>(0, 1, 2.5, 10, '10'),
    tags: fc.array(fc.constantFrom<Scalar>('a', 'B', 1), { maxLength: 3 }),
    vip: fc.boolean(),
  },
  { requiredKeys: [] },
)
