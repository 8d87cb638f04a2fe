// An explanation says of every condition what was found against what is wanted, in words that people read.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { factsFor } from '../../../domain/segments/decide.ts'
import { type Explained, explain } from '../../../domain/segments/explain.ts'
import { indexEvents, type Occurrence } from '../../../domain/segments/facts.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { compileRule } from '../../../domain/segments/plan.ts'
import { occurrenceOf } from '../../support/occurrence.ts'
import { HOUR, life, lists, START, statements, traits } from '../../support/random-lives.ts'
import { KNOWN_METRICS } from '../../support/random-metrics.ts'
import { ruleNode } from '../../support/random-rules.ts'
import { toldBy } from '../../support/told-traits.ts'

const DAY = 24 * HOUR
const order = (hours: number, over: Partial<Occurrence> = {}): Occurrence => ({
  ...{ type: 'track', name: 'Order Completed', time: START + hours * HOUR, value: 1250, currency: 'EUR' },
  ...{ props: { sku: 'a' }, ...over },
})
const person = {
  profileId: 7,
  traits: { plan: 'gold', due: '2026-12-24', address: { city: 'Ulm' } },
  traitSince: { plan: START - 10 * DAY },
  firstMs: START - 40 * DAY,
  lists: new Set(['fair']),
  events: indexEvents([order(-30, { name: 'Joined' }), order(-20), order(-10)]),
}

function wordsOf(match: unknown): string | undefined {
  const plan = compileRule(parseRule({ match }), KNOWN_METRICS)
  return explain(plan, factsFor(plan, person, new Map()), START).words
}

const DAYS = { k: 'rolling', last: 'P1DT12H' }
const orders = { k: 'agg', event: 'Order Completed', agg: 'count', window: DAYS, op: 'gte', value: 3 }

test.each<[unknown, string]>([
  [orders, 'count of "Order Completed" in the last 1 day 12 hours is 2; wanted at least 3'],
  [
    {
      ...orders,
      agg: 'sum',
      prop: 'revenue',
      currency: 'EUR',
      op: 'lt',
      value: '10.5',
      window: { k: 'lifetime' },
    },
    'sum of revenue of "Order Completed" ever is 25.00 EUR; wanted less than 10.50 EUR',
  ],
  [
    { ...orders, agg: 'avg', prop: 'qty', where: [{ prop: 'sku', op: 'like', value: 'a*' }] },
    'avg of qty of "Order Completed" (sku like "a*") in the last 1 day 12 hours is nothing; wanted at least 3',
  ],
  [
    { ...orders, window: { k: 'since', anchor: { event: 'Joined', pick: 'first' } } },
    'count of "Order Completed" since the first "Joined" at 2026-11-17T06:00:00.000Z is 2; wanted at least 3',
  ],
  [
    { ...orders, window: { k: 'since', anchor: { event: 'Left', pick: 'last' } } },
    'count of "Order Completed" since the last "Left", which was never is 0; wanted at least 3',
  ],
  [
    { ...orders, window: { ...DAYS, clock: { dow: ['tue', 'wed'], hours: { from: '09:00', to: '24:00' } } } },
    'count of "Order Completed" in the last 1 day 12 hours, on tue, wed from 09:00 to 24:00 in UTC, is 1; wanted at least 3',
  ],
  [
    { k: 'dwell', path: 'plan', value: 'gold', for: 'P30D' },
    'plan is "gold" since 2026-11-08T12:00:00.000Z; wanted "gold" for P30D',
  ],
  [{ k: 'dwell', path: 'tier', value: 1, for: 'P30D' }, 'tier is missing; wanted 1 for P30D'],
  [
    { k: 'trait', path: 'address.city', op: 'in', value: ['Bonn'] },
    'address.city is "Ulm"; wanted one of ["Bonn"]',
  ],
  [{ k: 'trait', path: 'age', op: 'exists' }, 'age is missing; wanted any value'],
  [{ k: 'date', path: 'due', op: 'inNext', value: 'P3D' }, 'due is "2026-12-24"; wanted inNext P3D'],
  [
    { k: 'time', event: 'Order Completed', pick: 'last', op: 'olderThan', ago: 'P1D' },
    'the last "Order Completed" was at 2026-11-18T02:00:00.000Z; wanted at least 1 day ago',
  ],
  [
    {
      k: 'pick',
      event: 'Order Completed',
      pick: 'last',
      prop: 'sku',
      window: DAYS,
      op: 'startsWith',
      value: 'b',
    },
    'sku of the last "Order Completed" in the last 1 day 12 hours is "a"; wanted starts with "b"',
  ],
  [{ k: 'absence', type: 'page', window: DAYS }, '0 of page calls in the last 1 day 12 hours; wanted none'],
  [
    {
      k: 'seq',
      window: DAYS,
      min: 2,
      steps: [{ event: 'Order Completed' }, { event: 'Used' }],
      none: { event: 'Sent Back', within: 'P1D' },
    },
    '2 of "Order Completed" in the last 1 day 12 hours; wanted at least 2, then "Used", then no "Sent Back"',
  ],
  [{ k: 'list', list: 'fair' }, 'on the list fair'],
  [{ k: 'segment', segment: 'vip' }, 'not in the segment vip'],
])('%j: %s', (match, words) => {
  expect(wordsOf(match)).toBe(words)
})

test('every condition of every rule is said in words, and none without a value', () => {
  fc.assert(
    fc.property(ruleNode, life, traits, statements, lists, (match, lives, first, said, inLists) => {
      const plan = compileRule(parseRule({ match }), KNOWN_METRICS)
      const { known } = toldBy([{ time: START - 48 * HOUR, traits: first }, ...said])
      const sorted = lives.map(occurrenceOf).sort((a, b) => a.time - b.time)
      const somebody = { ...known, profileId: 7, firstMs: START - 48 * HOUR, lists: new Set(inLists) }
      const facts = factsFor(plan, { ...somebody, events: indexEvents(sorted) }, new Map())
      for (const one of leavesOf(explain(plan, facts, START))) {
        expect(one.words).toMatch(/\w/)
        expect(one.words).not.toMatch(/undefined|NaN|\[object/)
      }
    }),
    { numRuns: 500 },
  )
})

function leavesOf(explained: Explained): Explained[] {
  return explained.of === undefined ? [explained] : explained.of.flatMap(leavesOf)
}
