// What is kept of a change: the conditions that decided it, enough to tell the answer from them, and small.
import fc from 'fast-check'
import { Value } from 'typebox/value'
import { expect, test } from 'vitest'
import { decide, factsFor } from '../../../domain/segments/decide.ts'
import { metricsOf } from '../../../domain/segments/deciding.ts'
import { indexEvents } from '../../../domain/segments/facts.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { compileRule } from '../../../domain/segments/plan.ts'
import { ChangeMetric, METRIC_LIMITS } from '../../../schema/change-metric.ts'
import type { RuleNode } from '../../../schema/rule.ts'
import { occurrenceOf } from '../../support/occurrence.ts'
import { HOUR, life, START, traits } from '../../support/random-lives.ts'
import { KNOWN_METRICS } from '../../support/random-metrics.ts'
import { ruleNode } from '../../support/random-rules.ts'
import type { OracleEvent } from '../../support/segment-oracle.ts'

function asked(match: RuleNode, events: OracleEvent[], known: Record<string, unknown>, atMs: number) {
  const plan = compileRule(parseRule({ match }), KNOWN_METRICS)
  const sorted = events.map(occurrenceOf).sort((a, b) => a.time - b.time)
  const person = {
    profileId: 7,
    traits: known,
    firstMs: START - 48 * HOUR,
    lists: new Set<string>(),
    traitSince: {},
  }
  const facts = factsFor(plan, { ...person, events: indexEvents(sorted) }, new Map())
  return { holds: decide(plan, facts, atMs).holds, metrics: metricsOf(plan, facts, atMs) }
}

/** The rule's value when its conditions have these, by their path. */
function truthOf(node: RuleNode, path: string, of: (path: string) => boolean): boolean {
  switch (node.k) {
    case 'not':
      return !truthOf(node.of, `${path}.of`, of)
    case 'all':
    case 'any':
    case 'atLeast': {
      const true_ = node.of.filter((child, i) => truthOf(child, `${path}.of[${i}]`, of)).length
      return true_ >= (node.k === 'all' ? node.of.length : node.k === 'any' ? 1 : node.n)
    }
    default:
      return of(path)
  }
}

test('whatever the conditions that are left out say, those that are kept give the answer', () => {
  const hours = fc.integer({ min: -30, max: 60 })
  let leftOut = 0
  fc.assert(
    fc.property(
      ruleNode,
      life,
      traits,
      hours,
      fc.func(fc.boolean()),
      (match, events, known, hour, whatever) => {
        const { holds, metrics } = asked(match, events, known, START + hour * HOUR)
        expect(metrics.length).toBeGreaterThan(0)
        expect(metrics.length).toBeLessThanOrEqual(METRIC_LIMITS.conditions)
        for (const metric of metrics) expect(Value.Check(ChangeMetric, metric)).toBe(true)
        expect(JSON.parse(JSON.stringify(metrics))).toEqual(metrics)
        if (metrics.length === METRIC_LIMITS.conditions) return
        const kept = new Map(metrics.map((metric) => [metric.path, metric.holds]))
        const value = truthOf(match, 'rule.match', (path) => {
          if (!kept.has(path)) leftOut += 1
          return kept.get(path) ?? whatever(path)
        })
        expect(value).toBe(holds)
      },
    ),
    { numRuns: Number(process.env.MILLRACE_RUNS ?? 600) },
  )
  expect(leftOut).toBeGreaterThan(150)
})

test('a condition is kept with what was found, its operator and its threshold', () => {
  const orders: OracleEvent[] = [1, 2, 3].map((n) => ({
    type: 'track',
    name: 'Order Completed',
    time: START - n * HOUR,
    value: 1250,
    currency: 'USD',
    properties: {},
  }))
  const window = { k: 'rolling', last: 'P1D' } as const
  const count = { k: 'agg', event: 'Order Completed', agg: 'count', window, op: 'gte', value: 3 } as const
  const plan = { k: 'trait', path: 'plan', op: 'eq', value: 'gold' } as const
  const { holds, metrics } = asked(
    { k: 'all', of: [count, { k: 'not', of: plan }] },
    orders,
    { plan: 'free' },
    START,
  )
  expect(holds).toBe(true)
  expect(metrics).toEqual([
    { path: 'rule.match.of[0]', k: 'agg', holds: true, value: '3', op: 'gte', threshold: '3' },
    { path: 'rule.match.of[1].of', k: 'trait', holds: false, value: 'free', op: 'eq', threshold: 'gold' },
  ])
  const none = asked(
    {
      k: 'all',
      of: [
        { ...count, value: 4 },
        { k: 'not', of: plan },
      ],
    },
    orders,
    {},
    START,
  )
  expect(none.metrics.map(({ path, value }) => [path, value])).toEqual([['rule.match.of[0]', '3']])
})

test('long traits and long rules stay small, and well-formed', () => {
  const long = `${'x'.repeat(63)}🎉`.repeat(4)
  const one = { k: 'trait', path: 'note', op: 'ne', value: 'y'.repeat(500) } as const
  const listed = {
    k: 'trait',
    path: 'note',
    op: 'noneOf',
    value: Array.from({ length: 200 }, (_, i) => `v${i}`),
  } as const
  const many: RuleNode = { k: 'all', of: Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? one : listed)) }
  const { metrics } = asked(many, [], { note: long }, START)
  expect(metrics.length).toBe(METRIC_LIMITS.conditions)
  const text = JSON.stringify(metrics)
  expect(text.length).toBeLessThan(4000)
  expect(text.isWellFormed()).toBe(true)
  expect(metrics[0]?.value).toMatch(/^x{63}\ufffd…$/)
  expect(asked(one, [], { note: { deep: 'z'.repeat(100) } }, START).metrics[0]?.value).toMatch(
    /^\{"deep":"z+…$/,
  )
})
