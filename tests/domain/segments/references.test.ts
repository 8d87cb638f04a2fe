// Segments of segments: who may refer to whom.
import { expect, test } from 'vitest'
import { askedLists } from '../../../domain/segments/asked.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { compileRule } from '../../../domain/segments/plan.ts'
import { closureOf, listsOf, referencesOf, refusedReference } from '../../../domain/segments/references.ts'
import { RULE_LIMITS } from '../../../schema/rule.ts'

const refer = (segment: string) => ({ k: 'segment', segment })
const rule = (...slugs: string[]) => parseRule({ match: { k: 'any', of: slugs.map(refer) } })
const live = (edges: Record<string, string[]>) => new Map(Object.entries(edges))

test('references are found at any depth, each once', () => {
  const nested = parseRule({
    match: { k: 'not', of: { k: 'all', of: [refer('a'), { k: 'any', of: [refer('b'), refer('a')] }] } },
  })
  expect(referencesOf(nested.match)).toEqual(['a', 'b'])
})

test('what is not live is refused by name', () => {
  expect(refusedReference('new', ['a', 'b'], live({ a: [] }))).toBe('there is no live segment "b"')
  expect(refusedReference('new', ['a'], live({ a: [] }))).toBeUndefined()
})

test('a circle is refused with its way, however long', () => {
  expect(refusedReference('a', ['a'], live({}))).toBe('it refers to itself: a → a')
  const edges = live({ b: ['d', 'c'], c: ['a'], d: [] })
  expect(refusedReference('a', ['d', 'b'], edges)).toBe('it refers to itself: a → b → c → a')
})

test('a chain may be so long and no longer, and many ways through cost no time', () => {
  const chain = Object.fromEntries(
    Array.from({ length: 60 }, (_, i) => [
      `s${i}`,
      i % 8 === 7
        ? []
        : Array.from(
            { length: 8 },
            (_, n) => `s${Math.floor(i / 8) * 8 + Math.min(7, (i % 8) + 1 + (n % 2))}`,
          ),
    ]),
  )
  expect(refusedReference('new', ['s1'], live(chain))).toBeUndefined()
  expect(refusedReference('new', ['s0'], live(chain))).toContain(
    `more than ${RULE_LIMITS.segments} deep: new → s0`,
  )
})

test('the closure of a plan has every plan that it needs, once', () => {
  const plans = new Map([
    ['a', compileRule(rule('b', 'c'))],
    ['b', compileRule(rule('c'))],
    ['c', compileRule(parseRule({ match: { k: 'trait', path: 'x', op: 'exists' } }))],
  ])
  const plan = compileRule(rule('a', 'gone'))
  expect(closureOf(plan, plans)).toEqual([plan, plans.get('a'), plans.get('b'), plans.get('c')])
})

test('lists are found with where the rule names them, and each is asked for once', () => {
  const list = (slug: string) => ({ k: 'list', list: slug })
  const asked = parseRule({ match: { k: 'any', of: [list('a'), { k: 'not', of: list('b') }, list('a')] } })
  expect(listsOf(asked.match)).toEqual([
    { path: 'rule.match.of[0].list', list: 'a' },
    { path: 'rule.match.of[1].of.list', list: 'b' },
    { path: 'rule.match.of[2].list', list: 'a' },
  ])
  expect(askedLists([compileRule(asked), compileRule(rule('a'))])).toEqual(['a', 'b'])
})
