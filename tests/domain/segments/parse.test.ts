// A rule is refused with the path of its fault, and what is taken comes back as it was.
import fc from 'fast-check'
import { Compile } from 'typebox/compile'
import { describe, expect, test } from 'vitest'
import { parseDuration } from '../../../domain/segments/durations.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { compileRule } from '../../../domain/segments/plan.ts'
import { checkRule } from '../../../domain/segments/version.ts'
import { MillraceError } from '../../../runtime/errors.ts'
import { RULE_LIMITS, RuleSchema } from '../../../schema/rule.ts'
import { ruleNode } from '../../support/random-rules.ts'

const DAYS = { k: 'rolling', last: 'P30D' }
const count = { k: 'agg', event: 'Viewed', agg: 'count', window: DAYS, op: 'gt', value: 5 }
const sum = { ...count, agg: 'sum', prop: 'revenue', value: 1000 }
const trait = { k: 'trait', path: 'plan', op: 'eq', value: 'gold' }
const message = { k: 'message', did: 'opened', window: DAYS, op: 'gte', value: 1 }

function refusalOf(input: unknown): { field: string | undefined; message: string } {
  try {
    parseRule(input)
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error
    expect(error.code).toBe('invalid_rule')
    return { field: error.field, message: error.detail }
  }
  throw new Error('the rule was taken')
}

const nested = (depth: number): unknown => (depth === 0 ? trait : { k: 'not', of: nested(depth - 1) })

describe('a refusal names the path', () => {
  test.each<[string, unknown]>([
    ['rule', null],
    ['rule', []],
    ['rule', 'sql'],
    ['rule.match', {}],
    ['rule.extra', { match: trait, extra: 1 }],
    ['rule.$schema', { $schema: 'segment/9', match: trait }],
    ['rule.name', { name: 7, match: trait }],
    ['rule.match.k', { match: { k: 'al', of: [trait] } }],
    ['rule.match.of', { match: { k: 'all', of: [] } }],
    ['rule.match.of', { match: { k: 'any' } }],
    ['rule.match.of[1].k', { match: { k: 'all', of: [trait, { k: '?' }] } }],
    ['rule.match.of[1]', { match: { k: 'all', of: [trait, null] } }],
    ['rule.match.n', { match: { k: 'atLeast', n: 0, of: [trait] } }],
    ['rule.match.n', { match: { k: 'atLeast', n: 2, of: [trait] } }],
    ['rule.match.n', { match: { k: 'atLeast', n: 1.5, of: [trait, trait] } }],
    ['rule.match.of.path', { match: { k: 'not', of: { ...trait, path: '' } } }],
    ['rule.match.op', { match: { ...trait, op: 'equals' } }],
    ['rule.match.value', { match: { ...trait, value: undefined } }],
    ['rule.match.value', { match: { ...trait, value: { a: 1 } } }],
    ['rule.match.value', { match: { ...trait, op: 'exists' } }],
    ['rule.match.value', { match: { ...trait, op: 'in', value: [] } }],
    ['rule.match.value[1]', { match: { ...trait, op: 'in', value: ['a', null] } }],
    ['rule.match.value', { match: { ...trait, op: 'contains', value: 7 } }],
    ['rule.match.value', { match: { ...trait, value: 'a\u0000b' } }],
    ['rule.match.value', { match: { ...trait, value: '\ud800' } }],
    ['rule.match.value', { match: { ...trait, value: 'x'.repeat(RULE_LIMITS.textLength + 1) } }],
    ['rule.match.agg', { match: { ...count, agg: 'median' } }],
    ['rule.match', { match: { k: 'consent', state: 'none' } }],
    ['rule.match', { match: { k: 'consent', channel: 'email', category: 'Ads', state: 'none' } }],
    ['rule.match.channel', { match: { k: 'consent', channel: 'webhook', state: 'none' } }],
    ['rule.match.state', { match: { k: 'consent', channel: 'email', state: 'granted' } }],
    ['rule.match.state', { match: { k: 'consent', category: 'Ads', state: 'none' } }],
    ['rule.match.category', { match: { k: 'consent', category: '', state: 'granted' } }],
    ['rule.match.topic', { match: { k: 'consent', topic: 'news', state: 'subscribed' } }],
    ['rule.match.did', { match: { ...message, did: 'open' } }],
    ['rule.match.channel', { match: { ...message, channel: 'sms' } }],
    ['rule.match.channel', { match: { ...message, did: 'complained', channel: 'push' } }],
    ['rule.match.campaign', { match: { ...message, campaign: 7 } }],
    ['rule.match.value', { match: { ...message, value: 1.5 } }],
    ['rule.match.value', { match: { ...message, value: -1 } }],
    ['rule.match.window.last', { match: { ...message, window: { k: 'rolling', last: 'P1M' } } }],
    ['rule.match.event', { match: { ...count, event: undefined } }],
    ['rule.match.event', { match: { ...count, event: 7 } }],
    ['rule.match.type', { match: { ...count, type: 'click' } }],
    ['rule.match.prop', { match: { ...count, prop: 'revenue' } }],
    ['rule.match.prop', { match: { ...sum, prop: undefined } }],
    ['rule.match.unit', { match: { ...sum, unit: 'cents' } }],
    ['rule.match.currency', { match: { ...sum, currency: 'eur' } }],
    ['rule.match.value', { match: { ...sum, value: '1,000' } }],
    ['rule.match.value', { match: { ...sum, value: Number.NaN } }],
    ['rule.match.value', { match: { ...count, value: 1e300 } }],
    ['rule.match.window', { match: { ...count, window: undefined } }],
    ['rule.match.window.k', { match: { ...count, window: { k: 'sliding' } } }],
    ['rule.match.window.last', { match: { ...count, window: { k: 'rolling', last: 'P1M' } } }],
    ['rule.match.window.last', { match: { ...count, window: { k: 'rolling', last: 'P0D' } } }],
    ['rule.match.window.to', { match: { ...count, window: { k: 'lifetime', to: 1 } } }],
    [
      'rule.match.window.from',
      { match: { ...count, window: { k: 'absolute', from: '2026-11-01', to: '' } } },
    ],
    [
      'rule.match.window.to',
      {
        match: {
          ...count,
          window: { k: 'absolute', from: '2026-11-02T00:00:00Z', to: '2026-11-01T00:00:00Z' },
        },
      },
    ],
    ['rule.match.where[0].op', { match: { ...count, where: [{ prop: 'sku', op: 'similar', value: 'x' }] } }],
    [
      'rule.match.where[0].key',
      { match: { ...count, where: [{ prop: 'sku', op: 'eq', value: 'x', key: 1 }] } },
    ],
    ['rule.match.where', { match: { ...count, where: {} } }],
    ['rule.match.value', { match: { ...trait, type: 'number' } }],
    ['rule.match.orMissing', { match: { ...trait, orMissing: true } }],
    ['rule.match.value', { match: { k: 'date', path: 'born', op: 'within', value: 'P1Y' } }],
    ['rule.match.value', { match: { k: 'date', path: 'born', op: 'before', value: 'P1D' } }],
    ['rule.match.tz', { match: { k: 'anniversary', path: 'born', tz: 'Berlin' } }],
    ['rule.match.offset', { match: { k: 'anniversary', path: 'born', offset: 400 } }],
    ['rule.match', { match: { k: 'geo', path: 'home' } }],
    ['rule.match.circle.lat', { match: { k: 'geo', path: 'home', circle: { lat: 91, lon: 0, metres: 1 } } }],
    [
      'rule.match.box.north',
      { match: { k: 'geo', path: 'home', box: { south: 1, west: 0, north: 0, east: 1 } } },
    ],
    ['rule.match.countries[0]', { match: { k: 'geo', path: 'country', countries: ['Japan'] } }],
    ['rule.match.to', { match: { k: 'sample', salt: 'a', from: 5, to: 4 } }],
    ['rule.match.prop', { match: { ...count, agg: 'distinct' } }],
    ['rule.match.window.to', { match: { ...count, window: { k: 'between', from: 'P7D', to: 'P1D' } } }],
    ['rule.match.window.unit', { match: { ...count, window: { k: 'calendar', unit: 'hour' } } }],
    ['rule.match.window.tz.trait', { match: { ...count, window: { k: 'calendar', unit: 'day', tz: {} } } }],
    [
      'rule.match.pick',
      { match: { k: 'pick', event: 'x', pick: 'middle', prop: 'a', window: DAYS, op: 'exists' } },
    ],
    ['rule.match.ago', { match: { k: 'time', event: 'x', pick: 'last', op: 'within', ago: '30 days' } }],
    [
      'rule.match.requireProfileAge',
      { match: { k: 'absence', event: 'x', window: { k: 'lifetime' }, requireProfileAge: true } },
    ],
    ['rule.match.steps', { match: { k: 'seq', window: DAYS, steps: [] } }],
    ['rule.match.steps[0]', { match: { k: 'seq', window: DAYS, steps: [{ event: 'x', within: 'P1D' }] } }],
    [
      'rule.match.steps[1].same',
      { match: { k: 'seq', window: DAYS, steps: [{ event: 'x' }, { event: 'y', same: [] }] } },
    ],
    [
      'rule.match.none.within',
      { match: { k: 'seq', window: DAYS, steps: [{ event: 'x' }], none: { event: 'y' } } },
    ],
  ])('%s of %j', (field, input) => {
    const refusal = refusalOf(input)
    expect(refusal.field).toBe(field)
    expect(refusal.message.startsWith(field)).toBe(true)
  })

  test('and proposes the word that was meant', () => {
    expect(refusalOf({ match: { k: 'agg', event: 'x', agg: 'cuont' } }).message).toContain(
      'expected one of count',
    )
    expect(refusalOf({ match: { ...trait, op: 'GT' } }).message).toContain('did you mean "gt"')
    expect(refusalOf({ match: { ...trait, op: 'starts_with' } }).message).toContain(
      'did you mean "startsWith"',
    )
    expect(refusalOf({ match: { ...count, evnt: 'x' } }).message).toContain('did you mean "event"')
  })
})

describe('limits', () => {
  test('of nesting', () => {
    expect(() => parseRule({ match: nested(RULE_LIMITS.depth - 1) })).not.toThrow()
    expect(refusalOf({ match: nested(RULE_LIMITS.depth) }).message).toContain('nested deeper')
    let deep: unknown = trait
    for (let i = 0; i < 100_000; i++) deep = { k: 'not', of: deep }
    expect(refusalOf({ match: deep }).message).toContain('nested deeper')
  })

  test('of conditions', () => {
    const of = Array.from({ length: RULE_LIMITS.leaves }, () => trait)
    expect(() => parseRule({ match: { k: 'any', of } })).not.toThrow()
    expect(refusalOf({ match: { k: 'any', of: [...of, trait] } }).message).toContain(
      'more than 50 conditions',
    )
  })

  test('of lists', () => {
    const value = Array.from({ length: RULE_LIMITS.listItems }, (_, i) => i)
    expect(() => parseRule({ match: { ...trait, op: 'in', value } })).not.toThrow()
    expect(refusalOf({ match: { ...trait, op: 'in', value: [...value, 1] } }).field).toBe('rule.match.value')
  })
})

describe('what is taken', () => {
  test('comes back as it was, and again', () => {
    fc.assert(
      fc.property(ruleNode, (match) => {
        const { rule, ruleHash } = checkRule({ match })
        expect(rule).toEqual({ match })
        expect(checkRule(JSON.parse(JSON.stringify(rule))).ruleHash).toBe(ruleHash)
      }),
    )
  })

  test('has one hash in any order of its members', () => {
    const turned = Object.fromEntries(Object.entries(sum).reverse())
    expect(checkRule({ match: turned }).ruleHash).toBe(checkRule({ match: sum }).ruleHash)
    expect(checkRule({ match: { ...sum, value: 1001 } }).ruleHash).not.toBe(
      checkRule({ match: sum }).ruleHash,
    )
  })

  test('of any JSON is either a rule or a refusal, never another error', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (match) => {
        expect(refusalOf({ match }).field).toMatch(/^rule\.match/)
      }),
    )
  })

  test('compiles so that conditions on the same events share one input, which reaches as far as any of them', () => {
    const plan = compileRule(parseRule({ match: { k: 'all', of: [sum, count] } }))
    expect(plan.inputs).toEqual([
      { type: 'track', event: 'Viewed', where: [], props: [], lastMs: 30 * 86_400_000 },
    ])
    const longer = { ...count, window: { k: 'rolling', last: 'P60D' } }
    expect(compileRule(parseRule({ match: { k: 'all', of: [count, longer] } })).inputs).toMatchObject([
      { lastMs: 60 * 86_400_000 },
    ])
    const always = { ...count, window: { k: 'lifetime' } }
    expect(compileRule(parseRule({ match: { k: 'all', of: [count, always] } })).inputs[0]).not.toHaveProperty(
      'lastMs',
    )
    const other = { ...count, where: [{ prop: 'sku', op: 'exists' }] }
    expect(compileRule(parseRule({ match: { k: 'all', of: [sum, other] } })).inputs).toHaveLength(2)
  })

  test('compiles amounts of revenue to cents, and numbers of different revenues to no amount', () => {
    const thresholdOf = (over: object) => {
      const [leaf] = compileRule(parseRule({ match: { ...sum, ...over } })).leaves
      return leaf?.k === 'agg' ? leaf.value : undefined
    }
    expect([thresholdOf({}), thresholdOf({ agg: 'distinct', value: 3 })]).toEqual(['100000', '3'])
  })

  test('fits the published schema, and what the schema refuses is refused here', () => {
    const schema = Compile(RuleSchema)
    fc.assert(fc.property(ruleNode, (match) => schema.Check({ match })))
    fc.assert(
      fc.property(ruleNode, fc.string(), fc.jsonValue(), (match, key, value) => {
        const changed = { match: { ...match, [key]: value } }
        try {
          parseRule(changed)
        } catch {
          return
        }
        expect(schema.Check(JSON.parse(JSON.stringify(changed)))).toBe(true)
      }),
    )
  })
})

test.each([
  ['PT1S', 1000],
  ['PT1H30M', 5_400_000],
  ['P1D', 86_400_000],
  ['P1W2DT3H', 9 * 86_400_000 + 10_800_000],
  ['P3660D', 3660 * 86_400_000],
  ['P3661D', undefined],
  ['P0D', undefined],
  ['P', undefined],
  ['PT', undefined],
  ['P1DT', undefined],
  ['P1Y', undefined],
  ['P1M', undefined],
  ['1D', undefined],
  ['P-1D', undefined],
  ['P1.5D', undefined],
  ['', undefined],
])('the duration %s is %s ms', (text, ms) => {
  expect(parseDuration(text)).toBe(ms)
})
