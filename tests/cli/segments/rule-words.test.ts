// Rules in words: each kind of condition, and nothing left unsaid on random rules.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { matchOf, nodeWords, ruleText } from '../../../cli/segments/rule-words.ts'
import type { RuleNode } from '../../../schema/rule.ts'
import { ruleNode } from '../../support/random-rules.ts'

const month = { k: 'rolling', last: 'P30D' } as const
const order = { event: 'Order Completed', window: month } as const

const WORDS: [RuleNode, string][] = [
  [
    { k: 'agg', ...order, agg: 'sum', prop: 'revenue', op: 'gt', value: 1000 },
    'sum of revenue of Order Completed in the last 30 days: more than 1000 USD',
  ],
  [
    {
      k: 'agg',
      ...order,
      agg: 'avg',
      prop: 'revenue',
      currency: 'EUR',
      unit: 'minor',
      op: 'lte',
      value: '5',
    },
    'average revenue of Order Completed in the last 30 days: at most 5 minor units of EUR',
  ],
  [
    {
      k: 'agg',
      event: 'Viewed',
      where: [{ prop: 'category', op: 'in', value: ['shoes', 'bags'] }],
      agg: 'distinct',
      prop: 'sku',
      window: { k: 'calendar', unit: 'week', tz: 'Europe/Berlin' },
      op: 'gte',
      value: 3,
    },
    'different sku of Viewed with category is one of "shoes", "bags" in this week (Europe/Berlin): at least 3',
  ],
  [
    { k: 'agg', event: '', type: 'page', agg: 'count', window: { k: 'lifetime' }, op: 'eq', value: 0 },
    'number of page call ever: is 0',
  ],
  [
    { k: 'pick', ...order, pick: 'last', prop: 'coupon', op: 'startsWith', value: 'SPRING' },
    'coupon of the last Order Completed in the last 30 days starts with "SPRING"',
  ],
  [
    { k: 'time', event: 'Order Completed', pick: 'first', op: 'olderThan', ago: 'P1DT2H' },
    'first Order Completed more than 1 day 2 hours ago',
  ],
  [
    { k: 'absence', event: 'App Opened', window: { k: 'rolling', last: 'P2W' }, requireProfileAge: true },
    'no App Opened in the last 2 weeks, known for as long',
  ],
  [
    {
      k: 'seq',
      window: month,
      anchor: 'latest',
      min: 2,
      steps: [{ event: 'Viewed' }, { event: 'Added', within: 'PT1H', same: ['sku'] }],
      none: { event: 'Bought', within: 'PT24H', same: ['sku', 'shop'] },
    },
    'Viewed (the latest) at least 2 times, then Added within 1 hour with the same sku, and then no Bought within 24 hours with the same sku, shop; in the last 30 days',
  ],
  [
    { k: 'trait', path: 'plan', op: 'ne', value: 'gold', orMissing: true },
    'trait plan is not "gold" or is missing',
  ],
  [{ k: 'trait', path: 'age', op: 'exists' }, 'trait age is there'],
  [{ k: 'date', path: 'trialEndsAt', op: 'inNext', value: 'P3D' }, 'date trialEndsAt in the next 3 days'],
  [{ k: 'date', path: 'born', op: 'before', value: '2000-01-01' }, 'date born before 2000-01-01'],
  [
    { k: 'anniversary', path: 'birthday', offset: -3, tz: { trait: 'timezone' } },
    '3 days before the anniversary of birthday (zone of trait timezone)',
  ],
  [
    { k: 'geo', path: 'home', circle: { lat: 52.52, lon: 13.405, metres: 30_000 } },
    'place home within 30000 m of 52.52, 13.405',
  ],
  [{ k: 'sample', salt: 'spring', from: 0, to: 999 }, 'sample "spring" from 0 to 999 of 0 to 9999'],
  [{ k: 'segment', segment: 'big-spenders' }, 'in the segment big-spenders'],
  [{ k: 'list', list: 'trade-fair' }, 'on the list trade-fair'],
]

test.each(WORDS)('%j in words', (node, words) => {
  expect(nodeWords(node)).toBe(words)
})

test('windows in words', () => {
  const words = (window: RuleNode & { k: 'absence' }) => nodeWords(window).replace('no x ', '')
  const of = (window: (RuleNode & { k: 'absence' })['window']) => words({ k: 'absence', event: 'x', window })
  expect(of({ k: 'between', from: 'P7D', to: 'P30D' })).toBe('from 30 days to 7 days ago')
  expect(of({ k: 'calendar', unit: 'month', offset: -1 })).toBe('in last month')
  expect(of({ k: 'calendar', unit: 'day', offset: -2, count: 3 })).toBe('in the 3 days up to day 2 back')
  expect(of({ k: 'absolute', from: '2026-11-01T00:00:00Z', to: '2026-12-01T00:00:00Z' })).toBe(
    'after 2026-11-01T00:00:00Z up to 2026-12-01T00:00:00Z',
  )
})

test('groups indent what is in them', () => {
  const gold: RuleNode = { k: 'trait', path: 'plan', op: 'eq', value: 'gold' }
  const rule: RuleNode = { k: 'all', of: [gold, { k: 'not', of: { k: 'atLeast', n: 1, of: [gold] } }] }
  expect(ruleText(rule)).toBe(
    [
      'all of these:',
      '  - trait plan is "gold"',
      '  - not this:',
      '    - at least 1 of these:',
      '      - trait plan is "gold"',
    ].join('\n'),
  )
})

test('every random rule has words, a line for each node', () => {
  const nodesIn = (node: RuleNode): number => {
    if (node.k === 'not') return 1 + nodesIn(node.of)
    if (node.k === 'all' || node.k === 'any' || node.k === 'atLeast')
      return 1 + node.of.reduce((sum, child) => sum + nodesIn(child), 0)
    return 1
  }
  fc.assert(
    fc.property(ruleNode, (node) => {
      const text = ruleText(node)
      expect(text).not.toMatch(/undefined|NaN|\[object/)
      expect(text.split('\n')).toHaveLength(nodesIn(node))
    }),
  )
})

test('a rule with words of a newer version is none that we could read', () => {
  expect(matchOf({ match: { k: 'dream', of: 'sheep' } })).toBeUndefined()
  expect(matchOf({ match: { k: 'list', list: 'fair' } })).toEqual({ k: 'list', list: 'fair' })
})
