// Real customers of a real shop as of a date: the published counts of CDNOW by rules, and the published frequency, recency
// and T of its sample by metrics, through the engine that the workers run.
import { describe, expect, test } from 'vitest'
import { decide, factsFor } from '../../../domain/segments/decide.ts'
import { indexEvents, type Occurrence } from '../../../domain/segments/facts.ts'
import { metricValue } from '../../../domain/segments/metric-values.ts'
import type { Metrics } from '../../../domain/segments/metrics.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { checkMetric } from '../../../domain/segments/parse-metrics.ts'
import { compileMetrics, compileRule } from '../../../domain/segments/plan.ts'
import { PUBLISHED, type Purchase, readPurchases, readSample } from '../../support/cdnow.ts'

const purchases = readPurchases()
const sample = readSample()
if (purchases === undefined || sample === undefined)
  console.warn('SKIPPED: the CDNOW data is not beside the checkout (../shared/data/cdnow)')

const event = 'Order Completed'
const LIFETIME = { k: 'lifetime' }
const agg = (over: object) => ({ k: 'agg', event, window: LIFETIME, ...over })
const METRICS: Metrics = new Map(
  Object.entries({
    orders: agg({ agg: 'count' }),
    spent: agg({ agg: 'sum', prop: 'revenue' }),
    cds: agg({ agg: 'sum', prop: 'cds' }),
    free: agg({ agg: 'count', where: [{ prop: 'dollars', op: 'eq', value: 0 }] }),
    'order-days': agg({ agg: 'days' }),
    'active-days': agg({ agg: 'span' }),
    tenure: { k: 'time', event, pick: 'first' },
    recency: { k: 'time', event, pick: 'last' },
  }).map(([slug, one]) => [slug, { version: 1, definition: checkMetric(one).definition }]),
)

/** Orders lie at 00:00 of their day. */
function occurrenceOf({ date, dollars, cds }: Purchase): Occurrence {
  return {
    ...{ type: 'track', name: event, time: Date.parse(date), currency: 'USD' },
    value: Math.round(Number(dollars) * 100),
    props: { cds, dollars: Number(dollars) },
  }
}

function peopleOf(rows: Purchase[]) {
  return [...Map.groupBy(rows, (row) => row.customer)].map(([customer, own], i) => {
    const events = own.map(occurrenceOf).sort((a, b) => a.time - b.time)
    const known = {
      profileId: i,
      traits: {},
      traitSince: {},
      firstMs: events[0]?.time ?? 0,
      lists: new Set<string>(),
    }
    return { customer, ...known, events: indexEvents(events) }
  })
}

/** Values of all metrics as numbers, by slug; `NaN` = none. */
function valuesOf(person: ReturnType<typeof peopleOf>[number], atMs: number): Record<string, number> {
  const plan = compileMetrics(METRICS)
  const facts = factsFor(plan, person, new Map())
  return Object.fromEntries(
    plan.leaves.map(({ metric, of }) => {
      const definition = METRICS.get(metric)?.definition
      if (definition === undefined) throw new Error(metric)
      return [metric, Number(metricValue(definition, of, facts, atMs).value ?? Number.NaN)]
    }),
  )
}

const AT = Date.parse('1998-06-30T00:00:00Z')
const is = (metric: string, op: string, value: number) => ({ k: 'computed', metric, op, value })
const monthAt = (month: number) => Date.UTC(1997, month, 1)
/** Orders of a month that is counted from January 1997: what is at its first instant belongs to it. */
const ordersIn = (month: number, op: string, value: number) =>
  agg({
    ...{ agg: 'count', op, value },
    window: {
      k: 'absolute',
      from: new Date(monthAt(month) - 1).toISOString(),
      to: new Date(monthAt(month + 1) - 1).toISOString(),
    },
  })
const cohort = (month: number) => ({
  k: 'all',
  of: [ordersIn(month, 'gte', 1), ...Array.from({ length: month }, (_, before) => ordersIn(before, 'eq', 0))],
})
const RETURNING = [7846, 1157, 964, 810, 679, 736, 720, 582, 559, 594, 673, 634, 528, 511, 664]
const BY_ORDERS = [11_908, 4_079, 2_217, 1_441, 995, 635, 475, 392, 274, 204]

/** Who fits, by what is published of it. */
const RULES: [string, unknown, number][] = [
  ['customers', is('orders', 'gte', 1), PUBLISHED.customers],
  ...BY_ORDERS.map((size, i): [string, unknown, number] => [
    `${i + 1} orders`,
    is('orders', 'eq', i + 1),
    size,
  ]),
  ['the most orders', is('orders', 'eq', 217), 1],
  ['more than the most orders', is('orders', 'gt', 217), 0],
  ['the highest spend', is('spent', 'gte', 13_990.93), 1],
  ['more than the highest spend', is('spent', 'gt', 13_990.93), 0],
  ['last order ≤ 30 days', is('recency', 'lte', 30), 1_554],
  ['last order ≤ 90 days', is('recency', 'lte', 90), 3_317],
  ['last order ≤ 180 days', is('recency', 'lte', 180), 5_374],
  ['last order ≤ 365 days', is('recency', 'lte', 365), 8_350],
  [
    'last order within 31 days, not including',
    { k: 'time', event, pick: 'last', op: 'within', ago: 'P31D' },
    1_554,
  ],
  ['orders ≥ 5', is('orders', 'gte', 5), 3_925],
  ['orders ≥ 10', is('orders', 'gte', 10), 1_154],
  ['spend ≥ $100', is('spent', 'gte', 100), 6_234],
  ['spend ≥ $500', is('spent', 'gte', 500), 734],
  ['cohort 1997-01', cohort(0), 7_846],
  ['cohort 1997-02', cohort(1), 8_476],
  ['cohort 1997-03', cohort(2), 7_248],
  ...RETURNING.map((size, month): [string, unknown, number] => [
    `of 1997-01, buyers of month ${month}`,
    { k: 'all', of: [cohort(0), ordersIn(month, 'gte', 1)] },
    size,
  ]),
]

describe.skipIf(purchases === undefined || sample === undefined)('CDNOW', () => {
  test('every published count as of 1998-06-30 is what its rule says of all 23,570 customers', () => {
    const people = peopleOf(purchases ?? [])
    const found = RULES.map(([name, match]) => {
      const plan = compileRule(parseRule({ match }), METRICS)
      const fits = people.filter((person) => decide(plan, factsFor(plan, person, new Map()), AT).holds)
      return [name, fits.length]
    })
    expect(found).toEqual(RULES.map(([name, , size]) => [name, size]))
  }, 120_000)

  test('its totals are the sums of its customers’ metrics, to the cent', () => {
    const totals: Record<string, number> = {}
    for (const person of peopleOf(purchases ?? []))
      for (const [slug, value] of Object.entries(valuesOf(person, AT)))
        totals[slug] = (totals[slug] ?? 0) + (slug === 'spent' ? Math.round(value * 100) : value)
    const { orders, spent, cds, free } = totals
    expect({ orders, spent, cds, free }).toEqual({
      ...{ orders: PUBLISHED.orders, spent: PUBLISHED.cents, cds: PUBLISHED.cds, free: 80 },
    })
  }, 120_000)

  test('frequency, recency and T of all 2,357 of the sample at the end of calibration are the published ones', () => {
    const end = Date.parse('1997-09-30T00:00:00Z')
    const people = new Map(peopleOf(sample?.purchases ?? []).map((person) => [person.customer, person]))
    const wrong = (sample?.published ?? []).filter(({ customer, frequency, recency, T }) => {
      const person = people.get(customer)
      if (person === undefined) return true
      const values = valuesOf(person, end)
      const isNear = (days: number | undefined, weeks: number) =>
        Math.abs((days ?? Number.NaN) / 7 - weeks) < 0.00501
      return (
        (values['order-days'] ?? 0) - 1 !== frequency ||
        !isNear(values['active-days'], recency) ||
        !isNear(values.tenure, T)
      )
    })
    expect(sample?.published.length).toBe(2_357)
    expect(wrong).toEqual([])
  }, 60_000)
})
