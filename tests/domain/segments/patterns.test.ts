// Patterns mean what they say, and no text or pattern takes longer than its length.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { conditionHolds } from '../../../domain/segments/conditions.ts'
import { refusedPattern } from '../../../domain/segments/patterns.ts'
import { RULE_LIMITS } from '../../../schema/rule.ts'
import { condition as meant } from '../../support/oracle-condition.ts'

const like = (value: string, text: unknown) => conditionHolds(text, { op: 'like', value })
const matches = (value: string, text: unknown) => conditionHolds(text, { op: 'matches', value })

describe('like', () => {
  test('is its plain meaning, for every way a text may be shared out among stars', () => {
    const text = fc.array(fc.constantFrom('a', 'b', '🎉', '*', '?', '\\', '\n'), { maxLength: 8 })
    const pattern = fc.array(fc.constantFrom('a', 'b', '🎉', '*', '?', '\\*', '\\?', '\\\\', '\n'), {
      maxLength: 7,
    })
    let hits = 0
    fc.assert(
      fc.property(text, pattern, (characters, parts) => {
        const [found, value] = [characters.join(''), parts.join('')]
        const expected = meant(found, 'like', value)
        expect(like(value, found)).toBe(expected)
        hits += expected ? 1 : 0
      }),
      { numRuns: 5000 },
    )
    expect(hits).toBeGreaterThan(200)
  })

  test('is about the whole text, its case and its characters', () => {
    expect(like('*@*.example.com', 'a@mail.example.com')).toBe(true)
    expect(like('*@*.example.com', 'a@mail.example.com.evil')).toBe(false)
    expect(like('SKU-??', 'SKU-🎉1')).toBe(true)
    expect(like('sku-*', 'SKU-1')).toBe(false)
    expect(like('a.c', 'abc')).toBe(false)
    expect(like('5\\*', '5*')).toBe(true)
    expect(like('5\\*', '55')).toBe(false)
    // The two ends of a pattern never share a character.
    expect(like('aba*aba', 'ababa')).toBe(false)
    expect(like('*', '')).toBe(true)
    for (const other of [1, true, ['a'], { a: 1 }, null, undefined]) expect(like('*', other)).toBe(false)
  })
})

describe('matches', () => {
  test('finds it anywhere, unless the pattern says where', () => {
    expect(matches('gmail\\.com$', 'a@gmail.com')).toBe(true)
    expect(matches('gmail\\.com$', 'a@gmail.com.evil')).toBe(false)
    expect(matches('^(?i)anna', 'ANNA')).toBe(true)
    expect(matches('^.$', '🎉')).toBe(true)
    expect(matches('\\p{Greek}', 'naïve α')).toBe(true)
    for (const other of [1, true, ['a'], null, undefined]) expect(matches('', other)).toBe(false)
  })

  test('a text over the limit matches nothing, at the limit it may', () => {
    const text = 'a'.repeat(RULE_LIMITS.matchedLength)
    expect(matches('^a+$', text)).toBe(true)
    expect(matches('^a+$', `${text}a`)).toBe(false)
  })
})

/** Each of these keeps an engine that goes back and tries again busy for longer than there are years. */
test.each([
  '(a+)+$',
  '(a|aa)+$',
  '^(a|a?)+$',
  '(.*a){20}$',
  '(.*)*x',
  '(x+x+)+y',
  '((a{0,10}){0,10}b)*c',
  '^(([a-z])+.)+[A-Z]([a-z])+$',
])('the hostile expression %s ends', (pattern) => {
  expect(refusedPattern('matches', pattern)).toBeUndefined()
  expect(matches(pattern, `${'a'.repeat(RULE_LIMITS.matchedLength - 1)}!`)).toBe(false)
})

test('a hostile glob ends on the longest text that an event can hold', () => {
  const pattern = '*a'.repeat(RULE_LIMITS.patternLength / 2 - 1)
  expect(like(`${pattern}b`, 'a'.repeat(32_768))).toBe(false)
  expect(like(`*${'a'.repeat(RULE_LIMITS.patternLength - 2)}b`, 'a'.repeat(32_768))).toBe(false)
})

describe('a pattern is refused', () => {
  test.each([
    ['[', 'missing closing ]'],
    ['a**', 'invalid nested repetition'],
    ['(?=a)', 'look-around and back references are not known here'],
    ['(?<=a)b', 'look-around'],
    ['(a)\\1', 'back references'],
    ['a{1001}', 'invalid repeat count'],
    ['((a{100}){100})', 'invalid repeat count'],
    ['a{301}', 'use smaller counts in {}'],
    ['\\pL{0,200}', 'more than 300'],
    ['a'.repeat(RULE_LIMITS.patternLength + 1), 'longer than the 200 characters'],
  ])('as a regular expression: %s', (pattern, reason) => {
    expect(refusedPattern('matches', pattern)).toContain(reason)
  })

  test('as a glob that ends in the midst of an escape, or escapes what needs none', () => {
    for (const pattern of ['a\\', '\\a', 'a\\\\\\'])
      expect(refusedPattern('like', pattern)).toContain('did you mean')
    for (const pattern of ['', '\\\\', '\\*\\?', '*?', '(', '\n'])
      expect(refusedPattern('like', pattern)).toBeUndefined()
    expect(refusedPattern('like', '*'.repeat(RULE_LIMITS.patternLength + 1))).toContain('longer')
  })

  test('of any text, with a reason and never by another error', () => {
    const parts = [
      'a',
      '(',
      ')',
      '(?',
      '[',
      ']',
      '-',
      '\\',
      '{',
      '}',
      '1',
      ',',
      '*',
      '+',
      '?',
      '|',
      '^',
      '$',
      '.',
      'é',
      '🎉',
    ]
    const text = fc.array(fc.constantFrom(...parts, '\ud800', '\0'), { maxLength: 12 })
    let taken = 0
    fc.assert(
      fc.property(text, (characters) => {
        const pattern = characters.join('')
        for (const op of ['like', 'matches'] as const) {
          const refused = refusedPattern(op, pattern)
          if (refused !== undefined) expect(refused).toMatch(/^(is|has|stands) /)
          else if (conditionHolds('aé🎉', { op, value: pattern })) taken += 1
        }
      }),
      { numRuns: 1000 },
    )
    expect(taken).toBeGreaterThan(10)
  })
})
