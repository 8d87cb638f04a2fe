// Random rules for the segment oracle, over what random-lives.ts makes.
import fc from 'fast-check'
import { AGGREGATES, COMPARISONS, type GeoNode, type RuleNode, type Scalar } from '../../schema/rule.ts'
import { contactLeaf } from './random-contact.ts'
import { LISTS, START } from './random-lives.ts'
import { CUTS, METRICS } from './random-metrics.ts'
import { condition, events, span, window, zone } from './random-windows.ts'

const aggregate: fc.Arbitrary<RuleNode> = fc
  .record({
    agg: fc.constantFrom(...AGGREGATES, 'count' as const, 'count' as const),
    events,
    revenue: fc.boolean(),
    window,
    op: fc.constantFrom(...COMPARISONS),
    count: fc.integer({ min: 0, max: 4 }),
    amount: fc.constantFrom(0, 5, 10, 12.5, 20, '19.99', '30.00', -1),
    days: fc.constantFrom(0, 0.125, '0.25', 0.5, 1),
    tz: fc.option(zone, { nil: undefined }),
  })
  .map(({ agg, events, revenue, window, op, count, amount, days, tz }) => {
    const node = { k: 'agg' as const, ...events, agg, window, op }
    if (agg === 'count') return { ...node, value: count }
    if (agg === 'days') return { ...node, ...(tz === undefined ? {} : { tz }), value: count }
    if (agg === 'span') return { ...node, value: days }
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
        anchor: fc.oneof(
          fc.constantFrom('any' as const, 'first' as const, 'latest' as const),
          fc.record({ kth: fc.integer({ min: 1, max: 3 }) }),
        ),
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

const dwell: fc.Arbitrary<RuleNode> = fc
  .record({
    of: fc.constantFrom<{ path: string; value: Scalar }>(
      { path: 'tier', value: 'a' },
      { path: 'tier', value: 'B' },
      { path: 'tier', value: 1 },
      { path: 'vip', value: true },
      { path: 'seat.row', value: 'a' },
      { path: 'none', value: 'a' },
    ),
    for: span,
  })
  .map(({ of, ...rest }) => ({ k: 'dwell' as const, ...of, ...rest }))

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

/** With a value that its definition takes. */
const computed: fc.Arbitrary<RuleNode> = fc
  .record({
    metric: fc.constantFrom(...Object.keys(METRICS)),
    op: fc.constantFrom(...COMPARISONS),
    value: fc.constantFrom(0, 1, 2, 10, 20),
    days: fc.constantFrom(0, 0.125, '0.25', 0.5, 1, -1),
    condition,
  })
  .map(({ metric, op, value, days, condition }) => {
    const definition = METRICS[metric]
    const isOfDays = definition?.k === 'time' || (definition?.k === 'agg' && definition.agg === 'span')
    const compared = definition?.k === 'pick' ? condition : { op, value: isOfDays ? days : value }
    return { k: 'computed' as const, metric, ...compared }
  })

const quantile: fc.Arbitrary<RuleNode> = fc
  .record({
    metric: fc.constantFrom(...Object.keys(CUTS)),
    part: fc.constantFrom([0, 0.2], [0.2, 0.5], [0.5, 0.8], [0.8, 1], [0, 1], [0.35, 0.85]),
  })
  .map(({ metric, part: [from = 0, to = 1] }) => ({ k: 'quantile' as const, metric, from, to }))

const leaf = fc.oneof(
  { weight: 8, arbitrary: aggregate },
  { weight: 3, arbitrary: sequence },
  { weight: 2, arbitrary: dwell },
  { weight: 3, arbitrary: computed },
  { weight: 2, arbitrary: quantile },
  { weight: 3, arbitrary: contactLeaf(window, fc.constantFrom(...COMPARISONS)) },
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
