// Quantiles: where people are parted, when that has moved, who is in a part; and CDNOW's customers by quintiles.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decide, factsFor } from '../../../domain/segments/decide.ts'
import { explain } from '../../../domain/segments/explain.ts'
import { indexEvents, type Occurrence } from '../../../domain/segments/facts.ts'
import { isMeasurable, type Metrics } from '../../../domain/segments/metrics.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { checkMetric } from '../../../domain/segments/parse-metrics.ts'
import { compileMetrics, compileRule } from '../../../domain/segments/plan.ts'
import { cutPoints, haveMoved, orderedValue } from '../../../domain/segments/quantiles.ts'
import { MillraceError } from '../../../runtime/errors.ts'
import { readPurchases } from '../../support/cdnow.ts'

const DAY = 86_400_000
const NOW = Date.UTC(2026, 10, 18, 12)
const event = 'Order Completed'
const LIFETIME = { k: 'lifetime' }
const RECENCY = { k: 'time', event, pick: 'last' }
const FREQUENCY = { k: 'agg', event, agg: 'count', window: LIFETIME }
const MONETARY = { k: 'agg', event, agg: 'sum', prop: 'revenue', window: LIFETIME }

const sorted = (values: number[]) => Float64Array.from(values).sort()
const ranks = (size: number) => sorted(Array.from({ length: size }, (_, i) => i))

type Cut = { definition: object; points: string[] }

function metricsOf(cuts: Record<string, Cut>): Metrics {
  return new Map(
    Object.entries(cuts).map(([slug, { definition: written, points }]) => {
      const { definition } = checkMetric(written)
      if (!isMeasurable(definition)) throw new Error(slug)
      return [slug, { version: 1, definition, cuts: { version: 3, metricVersion: 1, definition, points } }]
    }),
  )
}

const order = (daysAgo: number, cents = 0): Occurrence => ({
  ...{ type: 'track', name: event, time: NOW - daysAgo * DAY, value: cents, currency: 'USD', props: {} },
})
const factsOf = (plan: Parameters<typeof factsFor>[0], events: Occurrence[]) =>
  factsFor(
    plan,
    {
      ...{ profileId: 7, traits: {}, traitSince: {}, firstMs: 0, lists: new Set<string>() },
      events: indexEvents(events.sort((a, b) => a.time - b.time)),
    },
    new Map(),
  )

describe('cut points', () => {
  test('of a hundred people are the hundredths', () => {
    expect(cutPoints(ranks(100))).toEqual(Array.from({ length: 99 }, (_, i) => String(i + 1)))
    expect(new Set(cutPoints(sorted([7])))).toEqual(new Set(['7']))
  })

  test('have at most so many people below them, all that are equal on one side, and never above their value', () => {
    const value = fc.oneof(
      fc.integer({ min: -3, max: 5 }),
      fc.double({ min: -1e9, max: 1e9, noNaN: true }),
      fc.integer({ min: -5, max: 5 }).map((thirds) => thirds / 3),
    )
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 300 }), (values) => {
        const all = sorted(values)
        for (const [i, text] of cutPoints(all).entries()) {
          expect(text).toMatch(/^-?\d+(\.\d{1,6})?$/)
          const point = Number(text)
          const below = values.filter((one) => one < point).length
          expect(below).toBeLessThanOrEqual((values.length * (i + 1)) / 100)
          const own = all[Math.floor((values.length * (i + 1)) / 100)] ?? 0
          expect(point).toBeLessThanOrEqual(own)
          expect(own - point).toBeLessThan(0.0000021)
        }
      }),
    )
  })

  test('have moved when more than half a percent of the people lie between', () => {
    const people = ranks(1000)
    const points = cutPoints(people)
    const by = (delta: number) => points.map((point, i) => (i === 40 ? String(Number(point) + delta) : point))
    expect(haveMoved(points, points, people)).toBe(false)
    expect(haveMoved(by(5), points, people)).toBe(false)
    expect(haveMoved(by(6), points, people)).toBe(true)
    expect(haveMoved(by(-6), points, people)).toBe(true)
  })
})

describe('a quantile', () => {
  const at = (node: object) => {
    try {
      parseRule({ match: { k: 'quantile', metric: 'm', from: 0, to: 1, ...node } })
    } catch (error) {
      if (error instanceof MillraceError) return error.detail
      throw error
    }
    throw new Error('it was taken')
  }

  test('has two ends that are hundredths, the first below the other', () => {
    expect(at({ from: 0.5, to: 0.5 })).toContain('rule.match.to must be above from')
    expect(at({ from: -0.1 })).toContain('rule.match.from expected a number from 0 to 1')
    expect(at({ to: 20 })).toContain('rule.match.to expected a number from 0 to 1')
    expect(at({ to: 1 / 3 })).toContain('did you mean 0.33?')
    expect(at({ fron: 0 })).toContain('did you mean "from"?')
    expect(at({ metric: 'M' })).toContain('rule.match.metric expected the slug')
    for (let i = 1; i < 100; i++)
      expect(() => parseRule({ match: { k: 'quantile', metric: 'm', from: i / 100, to: 1 } })).not.toThrow()
  })

  const decided = (definition: object, points: string[], part: [number, number], ...events: Occurrence[]) => {
    const [from, to] = part
    const rule = parseRule({ match: { k: 'quantile', metric: 'm', from, to } })
    const plan = compileRule(rule, metricsOf({ m: { definition, points } }))
    return decide(plan, factsOf(plan, events), NOW)
  }
  const hundredths = cutPoints(sorted(Array.from({ length: 100 }, (_, i) => i)))

  test('ends and begins at the exact instants at which the value passes its points', () => {
    expect(decided(RECENCY, hundredths, [0.1, 0.2], order(3))).toEqual({ holds: false, until: NOW + 7 * DAY })
    expect(decided(RECENCY, hundredths, [0.1, 0.2], order(12))).toEqual({ holds: true, until: NOW + 8 * DAY })
    const lately = { ...FREQUENCY, window: { k: 'rolling', last: 'P30D' } }
    const thrice = [order(3), order(10), order(20)]
    expect(decided(lately, hundredths, [0.02, 0.04], ...thrice)).toEqual({
      holds: true,
      until: NOW + 20 * DAY,
    })
  })

  test('has nobody in it who has nothing that counts, whose count is 0 all the same', () => {
    for (const definition of [RECENCY, FREQUENCY, MONETARY]) {
      expect(decided(definition, hundredths, [0, 1]).holds).toBe(false)
      expect(decided(definition, hundredths, [0, 1], order(3, 50)).holds).toBe(true)
    }
    const euros = { ...order(3, 50), currency: 'EUR' }
    expect(decided(MONETARY, hundredths, [0, 1], euros).holds).toBe(false)
  })

  test('is a constant comparison in its plan, and an explanation says the value', () => {
    const rule = parseRule({ match: { k: 'quantile', metric: 'm', from: 0.8, to: 1 } })
    const plan = compileRule(rule, metricsOf({ m: { definition: FREQUENCY, points: hundredths } }))
    expect(plan.leaves[0]).toMatchObject({ k: 'quantile', metric: 'm', version: 1, cuts: 3, from: '80' })
    expect(plan.leaves[0]).not.toHaveProperty('below')
    const found = explain(plan, factsOf(plan, [order(3), order(1)]), NOW)
    expect(found).toMatchObject({ path: 'rule.match', k: 'quantile', holds: false, found: { value: '2' } })
  })
})

const purchases = readPurchases()
describe.skipIf(purchases === undefined)('CDNOW by quintiles', () => {
  const asOfMs = Date.parse('1998-06-30T00:00:00Z')
  const people = [...Map.groupBy(purchases ?? [], (one) => one.customer).values()].map((own) =>
    own
      .map(
        ({ date, dollars }): Occurrence => ({
          ...{ type: 'track', name: event, time: Date.parse(date), currency: 'USD', props: {} },
          value: Math.round(Number(dollars) * 100),
        }),
      )
      .sort((a, b) => a.time - b.time),
  )
  const definitions = { recency: RECENCY, frequency: FREQUENCY, monetary: MONETARY }
  const plain = {
    recency: (own: Occurrence[]) => (asOfMs - (own.at(-1)?.time ?? 0)) / DAY,
    frequency: (own: Occurrence[]) => own.length,
    monetary: (own: Occurrence[]) => own.reduce((sum, one) => sum + (one.value ?? 0), 0),
  }
  type Slug = keyof typeof plain

  test('the RFM rule finds whom plain sorting finds, and every quintile is what it is by sorting', () => {
    const uncut = new Map(
      Object.entries(definitions).map(([slug, one]) => [
        slug,
        { version: 1, definition: checkMetric(one).definition },
      ]),
    )
    const plan = compileMetrics(uncut)
    const all = people.map((own) => factsOf(plan, own))
    const cuts = Object.fromEntries(
      plan.leaves.map(({ metric, of }) => {
        const values = all.flatMap((facts) => orderedValue(of, facts, asOfMs) ?? [])
        const definition = Reflect.get(definitions, metric)
        return [metric, { definition, points: cutPoints(sorted(values)) }]
      }),
    )
    const metrics = metricsOf(cuts)
    const sizeOf = (match: unknown) => {
      const rule = compileRule(parseRule({ match }), metrics)
      return people.filter((own) => decide(rule, factsOf(rule, own), asOfMs).holds).length
    }
    const of = (metric: string, from: number, to: number) => ({ k: 'quantile', metric, from, to })
    // By plain sorting: the value of whoever stands at a fifth of the line.
    const lineOf = (slug: Slug) => people.map(plain[slug]).sort((a, b) => a - b)
    const lines = { recency: lineOf('recency'), frequency: lineOf('frequency'), monetary: lineOf('monetary') }
    const cutOf = (slug: Slug, part: number) => {
      const line = lines[slug]
      return line[Math.floor(line.length * part)] ?? 0
    }
    const [latest, often, much] = [cutOf('recency', 0.2), cutOf('frequency', 0.8), cutOf('monetary', 0.8)]
    const champions = people.filter(
      (own) => plain.recency(own) < latest && plain.frequency(own) >= often && plain.monetary(own) >= much,
    ).length
    const rfm = { k: 'all', of: [of('recency', 0, 0.2), of('frequency', 0.8, 1), of('monetary', 0.8, 1)] }
    expect(sizeOf(rfm)).toBe(champions)
    expect(champions).toBeGreaterThan(1_000)
    const ends = [0, 0.2, 0.4, 0.6, 0.8, 1]
    const fifths = ends.slice(1).map((to, i) => sizeOf(of('monetary', ends[i] ?? 0, to)))
    const spent = people.map(plain.monetary)
    const plainFifths = ends.slice(1).map((to, i) => {
      const from = cutOf('monetary', ends[i] ?? 0)
      return spent.filter((one) => one >= from && (to === 1 || one < cutOf('monetary', to))).length
    })
    expect(fifths).toEqual(plainFifths)
    expect(fifths.reduce((sum, size) => sum + size, 0)).toBe(23_570)
    // Half of all have one order: nobody stands below it.
    expect([sizeOf(of('frequency', 0, 0.2)), sizeOf(of('frequency', 0.2, 0.6))]).toEqual([0, 11_908])
  }, 120_000)
})
