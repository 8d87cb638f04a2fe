// Metrics: definitions are refused with the path of their fault, a condition on one is its definition compared, and its
// value is exact, in the unit of the definition.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Compile } from 'typebox/compile'
import { describe, expect, test } from 'vitest'
import { needsTraits } from '../../../domain/segments/asked.ts'
import { decide, factsFor } from '../../../domain/segments/decide.ts'
import { explain } from '../../../domain/segments/explain.ts'
import { indexEvents, type Occurrence } from '../../../domain/segments/facts.ts'
import { metricValue } from '../../../domain/segments/metric-values.ts'
import { isMeasurable, type KnownMetric, type Metrics } from '../../../domain/segments/metrics.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { checkMetric } from '../../../domain/segments/parse-metrics.ts'
import { compileMetrics, compileRule } from '../../../domain/segments/plan.ts'
import { metricsOf } from '../../../domain/segments/references.ts'
import { NEVER } from '../../../domain/segments/timed.ts'
import { MillraceError } from '../../../runtime/errors.ts'
import { MetricDefinition } from '../../../schema/metric.ts'
import { METRICS } from '../../support/random-metrics.ts'
import { ROOT } from '../../support/source-tree.ts'

const DAY = 86_400_000
const NOW = Date.UTC(2026, 10, 18, 12)
const LIFETIME = { k: 'lifetime' }
const count = { k: 'agg', event: 'Order Completed', agg: 'count', window: LIFETIME }
const recency = { k: 'time', event: 'Order Completed', pick: 'last' }

function refusalOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    expect(error.code).toBe('invalid_rule')
    expect(error.detail.startsWith(error.field ?? '?')).toBe(true)
    return error.detail
  }
  throw new Error('it was taken')
}

const known = (definitions: Record<string, unknown>): Metrics =>
  new Map(
    Object.entries(definitions).map(([slug, one]) => [
      slug,
      { version: 1, definition: checkMetric(one).definition },
    ]),
  )

/** An order so many days before NOW, to the cent. */
const order = (daysAgo: number, cents = 0, props: Record<string, unknown> = {}): Occurrence => ({
  ...{
    type: 'track',
    name: 'Order Completed',
    time: NOW - daysAgo * DAY,
    value: cents,
    currency: 'USD',
    props,
  },
})
const person = (...events: Occurrence[]) => ({
  ...{ profileId: 7, traits: {}, traitSince: {}, firstMs: 0, lists: new Set<string>() },
  events: indexEvents(events.sort((a, b) => a.time - b.time)),
})

function decided(definition: unknown, condition: object, ...events: Occurrence[]) {
  const rule = parseRule({ match: { k: 'computed', metric: 'm', ...condition } })
  const plan = compileRule(rule, known({ m: definition }))
  return decide(plan, factsFor(plan, person(...events), new Map()), NOW)
}

function valueIn(definition: unknown, ...events: Occurrence[]): unknown {
  const metrics = known({ m: definition })
  const plan = compileMetrics(metrics)
  const [leaf] = plan.leaves
  const metric = metrics.get('m')
  if (leaf === undefined || metric === undefined) throw new Error('nothing was compiled')
  return metricValue(metric.definition, leaf.of, factsFor(plan, person(...events), new Map()), NOW).value
}

describe('a definition', () => {
  test.each<[string, unknown, string?]>([
    ['definition', null],
    ['definition.k', { ...count, k: 'count' }, 'expected one of agg, pick, time'],
    ['definition.k', { k: 'trait', path: 'plan' }],
    ['definition.op', { ...count, op: 'gte' }, 'known are k, event, type, where, agg'],
    ['definition.value', { ...recency, value: 3 }],
    ['definition.evnt', { ...recency, evnt: 'x' }, 'did you mean "event"'],
    ['definition.agg', { ...count, agg: 'sun' }, 'did you mean "sum"'],
    ['definition.prop', { ...count, agg: 'days', prop: 'sku' }, 'agg "days" takes no prop'],
    ['definition.tz', { ...count, tz: 'Europe/Berlin' }, 'goes with agg "days" only'],
    ['definition.tz', { ...count, agg: 'days', tz: 'Berlin' }],
    ['definition.window', { ...count, window: undefined }],
    ['definition.pick', { ...recency, pick: 'latest' }],
    ['definition.window', { ...recency, window: LIFETIME }],
    ['definition.prop', { k: 'pick', event: 'x', pick: 'last', window: LIFETIME }, 'expected a text'],
  ])('is refused at %s: %j', (field, input, said = '') => {
    const refusal = refusalOf(() => checkMetric(input))
    expect(refusal.startsWith(`${field} `)).toBe(true)
    expect(refusal).toContain(said)
  })

  test('that is taken fits the published schema, comes back as it was, and has one hash in any order', () => {
    const schema = Compile(MetricDefinition)
    for (const definition of Object.values(METRICS)) {
      const written = definition.event === '' ? { ...definition, event: undefined } : definition
      const checked = checkMetric(JSON.parse(JSON.stringify(written)))
      expect(checked.definition).toEqual(definition)
      // The schema knows no condition on all events of a type.
      if (definition.event !== '') expect(schema.Check(checked.definition)).toBe(true)
      const turned = Object.fromEntries(Object.entries(JSON.parse(JSON.stringify(written))).reverse())
      expect(checkMetric(turned).definitionHash).toBe(checked.definitionHash)
    }
  })
})

describe('a condition on a metric', () => {
  test.each<[unknown, object, string]>([
    [count, { op: 'contains', value: '3' }, 'rule.op expected one of gt, gte'],
    [count, { op: 'gte', value: 'many' }, 'rule.value expected a number'],
    [count, { op: 'gte', value: true }, 'rule.value expected a number'],
    [recency, { op: 'exists' }, 'rule.op expected one of gt, gte'],
    [{ ...count, agg: 'sum', prop: 'revenue' }, { op: 'gt', value: '1,234' }, 'rule.value expected a number'],
  ])('is refused where the definition does not take it: %j %j', (definition, condition, said) => {
    expect(refusalOf(() => decided(definition, condition))).toContain(said)
  })

  test('needs a slug, an operator and a value, and nothing else', () => {
    const at = (node: object) => refusalOf(() => parseRule({ match: { k: 'computed', ...node } }))
    expect(at({ metric: 'No Slug', op: 'gt', value: 1 })).toContain('rule.match.metric expected the slug')
    expect(at({ metric: 'm', op: 'gr', value: 1 })).toContain('rule.match.op')
    expect(at({ metric: 'm', op: 'gt' })).toContain('rule.match.value')
    expect(at({ metric: 'm', op: 'gt', value: 1, window: LIFETIME })).toContain(
      'rule.match.window is not known',
    )
  })

  test('is found with where it stands, at any depth', () => {
    const leaf = (metric: string) => ({ k: 'computed', metric, op: 'gt', value: 1 })
    const rule = parseRule({
      match: { k: 'all', of: [leaf('a'), { k: 'not', of: { k: 'any', of: [leaf('b')] } }] },
    })
    expect(metricsOf(rule.match).map(({ path, node }) => [path, node.metric])).toEqual([
      ['rule.match.of[0]', 'a'],
      ['rule.match.of[1].of.of[0]', 'b'],
    ])
  })

  test('turns at the millisecond at which so many days are over, and never of who has no event', () => {
    const at = (op: string, value: number | string) => decided(recency, { op, value }, order(3))
    expect(at('gte', 10)).toEqual({ holds: false, until: NOW + 7 * DAY })
    expect(at('gt', 10)).toEqual({ holds: false, until: NOW + 7 * DAY + 1 })
    expect(at('lte', 10)).toEqual({ holds: true, until: NOW + 7 * DAY + 1 })
    expect(at('lt', 10)).toEqual({ holds: true, until: NOW + 7 * DAY })
    expect(at('eq', 3)).toEqual({ holds: true, until: NOW + 1 })
    expect(at('lt', 3)).toEqual({ holds: false, until: NEVER })
    // A third of a day is a whole number of milliseconds; a millionth is 86.4.
    expect(at('gte', '3.000001')).toEqual({ holds: false, until: NOW + 87 })
    expect(at('gt', '999999999999999')).toEqual({ holds: false, until: NEVER })
    for (const op of ['gt', 'lt', 'ne'])
      expect(decided(recency, { op, value: 5 })).toEqual({ holds: false, until: NEVER })
  })

  test('on the first event looks past those that come later, on the last one at an order that is due', () => {
    const ahead = order(-1 / 24)
    const first = { ...recency, pick: 'first' }
    expect(decided(first, { op: 'gte', value: 5 }, order(3), ahead).until).toBe(NOW + 2 * DAY)
    expect(decided(recency, { op: 'gte', value: 3 }, order(3), ahead)).toEqual({
      holds: true,
      until: ahead.time,
    })
  })

  test('says in an explanation what the metric is, where it stands and what is missing', () => {
    const rule = parseRule({ match: { k: 'all', of: [{ k: 'computed', metric: 'm', op: 'gte', value: 5 }] } })
    const plan = compileRule(rule, known({ m: { ...count, agg: 'days' } }))
    const whole = explain(plan, factsFor(plan, person(order(1), order(1), order(2)), new Map()), NOW)
    expect(whole.of?.[0]).toMatchObject({
      ...{ path: 'rule.match.of[0]', k: 'computed', holds: false },
      found: { value: '2', missing: '3', events: 3 },
    })
  })

  test('asks for traits where its days go by a zone that one names', () => {
    const rule = parseRule({ match: { k: 'computed', metric: 'm', op: 'gte', value: 5 } })
    const asks = (tz: unknown) => needsTraits(compileRule(rule, known({ m: { ...count, agg: 'days', tz } })))
    expect([asks({ trait: 'zone' }), asks('Asia/Tokyo')]).toEqual([true, false])
  })
})

test('a value is in the unit of its definition, exact, and nothing where there is no event', () => {
  const revenue = { ...count, agg: 'sum', prop: 'revenue' }
  expect(valueIn(revenue, order(1, 1999), order(2, 3001))).toBe('50')
  expect(valueIn(revenue, order(1, 1999))).toBe('19.99')
  expect(valueIn({ ...revenue, unit: 'minor' }, order(1, 1999))).toBe('1999')
  expect(valueIn({ ...revenue, currency: 'JPY' }, { ...order(1, 1999), currency: 'JPY' })).toBe('1999')
  expect(valueIn({ ...revenue, agg: 'avg' }, order(1, 100), order(1, 0), order(1, 0))).toBe(
    '0.33333333333333333333',
  )
  expect(valueIn(count)).toBe('0')
  expect(valueIn(recency, order(3), order(1.5))).toBe('1.5')
  expect(valueIn({ ...recency, pick: 'first' }, order(3), order(1.5))).toBe('3')
  expect(valueIn({ ...count, agg: 'span' }, order(3), order(1.5))).toBe('1.5')
  expect(valueIn({ ...count, agg: 'span' }, order(3))).toBe('0')
  expect(valueIn({ ...count, agg: 'days' }, order(3), order(3.01), order(1.5))).toBe('2')
  const pick = { k: 'pick', event: 'Order Completed', pick: 'last', prop: 'coupon', window: LIFETIME }
  expect(valueIn(pick, order(3, 0, { coupon: 'A' }), order(1, 0, { coupon: ['B'] }))).toEqual(['B'])
  for (const empty of [recency, pick, { ...count, agg: 'span' }, { ...revenue, agg: 'avg' }])
    expect(valueIn(empty)).toBe(null)
})

test('the metrics of docs/SEGMENTS.md are metrics, and its rules over them compile', () => {
  const page = readFileSync(join(ROOT, 'docs/SEGMENTS.md'), 'utf8')
  const bodies = [...page.matchAll(/POST \/api\/v1\/metrics (\{.+\})/g)].map((match) =>
    JSON.parse(match[1] ?? ''),
  )
  expect(bodies.length).toBeGreaterThan(4)
  const uncut = known(Object.fromEntries(bodies.map(({ slug, definition }) => [slug, definition])))
  const points = Array.from({ length: 99 }, (_, i) => String(i))
  const cut = ({ version, definition }: KnownMetric): KnownMetric =>
    isMeasurable(definition)
      ? { version, definition, cuts: { version: 1, metricVersion: 1, definition, points } }
      : { version, definition }
  const metrics: Metrics = new Map([...uncut].map(([slug, metric]) => [slug, cut(metric)]))
  const rules = [...page.matchAll(/```json\n([^`]+)```/g)].map((match) =>
    parseRule({ match: JSON.parse(match[1] ?? '') }),
  )
  const over = rules.filter((rule) => metricsOf(rule.match).length > 0)
  expect(over.length).toBeGreaterThan(0)
  for (const rule of over) expect(compileRule(rule, metrics).leaves.length).toBeGreaterThan(0)
})
