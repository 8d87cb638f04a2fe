// The explanation of a segment as it is read: ticks and crosses, what was found against what is wanted, and until when.
import { expect, test } from 'vitest'
import type { Explanation } from '../../../api/segment-explain.ts'
import { explanationTree } from '../../../cli/segments/explain-tree.ts'
import type { RuleNode } from '../../../schema/rule.ts'

const T = (day: number) => `2026-11-${day}T12:00:00.000Z`
const orders = { event: 'Order Completed', window: { k: 'rolling', last: 'P30D' } } as const
const rule: RuleNode = {
  k: 'all',
  of: [
    { k: 'agg', ...orders, agg: 'sum', prop: 'revenue', op: 'gt', value: 100 },
    { k: 'agg', ...orders, agg: 'count', op: 'gte', value: 3 },
    { k: 'not', of: { k: 'trait', path: 'plan', op: 'eq', value: 'gold' } },
    {
      k: 'any',
      of: [
        { k: 'list', list: 'staff' },
        { k: 'absence', ...orders },
      ],
    },
  ],
}
const at = (path: string, k: string, holds: boolean, changesAt: string | null = null) => ({
  ...{ path: `rule.match${path}`, k, holds, changesAt },
})
const nothing = { words: '', value: null, missing: null, events: 0, newest: [] }
const explanation: Explanation = {
  ...{ segment: 's', version: 1, asOf: T(29), member: false, holds: false, changesAt: null },
  groups: [at('', 'all', false), at('.of[2]', 'not', true), at('.of[3]', 'any', false)],
  conditions: [
    {
      ...at('.of[0]', 'agg', false),
      value: '9050',
      words: '',
      missing: '950',
      events: 2,
      newest: [T(28), T(27)],
    },
    { ...at('.of[1]', 'agg', false, T(30)), value: '2', words: '', missing: '1', events: 2, newest: [T(28)] },
    { ...at('.of[2].of', 'trait', false), ...nothing },
    { ...at('.of[3].of[0]', 'list', false), ...nothing, value: 'staff' },
    { ...at('.of[3].of[1]', 'absence', false), ...nothing, value: 1, events: 1, newest: [T(28)] },
  ],
}

test('each condition has its mark, its words, what was found, and until when', () => {
  expect(explanationTree(explanation, { rule, colours: false }).split('\n')).toEqual([
    '✗ all of these',
    '  ✗ sum of revenue of Order Completed in the last 30 days: more than 100 USD',
    '      found 90.50 USD in 2 events, newest 2026-11-28T12:00:00.000Z; 9.50 USD missing',
    '  ✗ number of Order Completed in the last 30 days: at least 3  until 2026-11-30T12:00:00.000Z',
    '      found 2, newest 2026-11-28T12:00:00.000Z; 1 missing',
    '  ✓ not this',
    '    ✗ trait plan is "gold"',
    '        found nothing',
    '  ✗ any of these',
    '    ✗ on the list staff',
    '    ✗ no Order Completed in the last 30 days',
    '        found 1 event, newest 2026-11-28T12:00:00.000Z',
    '',
  ])
})

test.each([
  ['9050', undefined, 'USD', '90.50 USD'],
  ['-5', undefined, 'USD', '-0.05 USD'],
  ['1234.5', undefined, 'USD', '12.345 USD'],
  ['1200', undefined, 'JPY', '1200 JPY'],
  ['1200', undefined, 'KWD', '1.200 KWD'],
  ['9050', 'minor', 'EUR', '9050 minor units of EUR'],
] as const)('revenue of %s (%s) in %s is read as money', (value, unit, currency, text) => {
  const node: RuleNode = {
    ...{ k: 'agg', ...orders, agg: 'sum', prop: 'revenue', op: 'gt', value: 100, currency },
    ...(unit === undefined ? {} : { unit }),
  }
  const condition = { ...at('', 'agg', true), words: '', value, missing: null, events: 1, newest: [] }
  const one = { ...explanation, groups: [], conditions: [condition] }
  expect(explanationTree(one, { rule: node, colours: false })).toContain(`found ${text} in 1 event\n`)
})

test('what people sent cannot steer the terminal', () => {
  const condition = { ...at('', 'trait', true), ...nothing, value: '\u009b2J\u001b[2J' }
  const one = { ...explanation, groups: [], conditions: [condition] }
  const node: RuleNode = { k: 'trait', path: 'na\nme', op: 'exists' }
  expect(explanationTree(one, { rule: node, colours: false })).toBe(
    '✓ trait na\ufffdme is there\n    found "\ufffd2J\\u001b[2J"\n',
  )
})

test('without the rule of that version, conditions are named by their kind', () => {
  const lines = explanationTree(explanation, { rule: undefined, colours: false }).split('\n')
  expect(lines.filter((line) => /[✓✗]/.test(line)).map((line) => line.trim())).toEqual([
    '✗ all',
    '✗ agg',
    '✗ agg  until 2026-11-30T12:00:00.000Z',
    '✓ not',
    '✗ trait',
    '✗ any',
    '✗ list',
    '✗ absence',
  ])
})
