// The checks of one event, and the shortcuts they take: each must give the answer of the long way.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkEvent, type EventLimits } from '../../domain/validate.ts'
import { findFlaw } from '../../domain/validate-json.ts'

const LIMITS: EventLimits = {
  pathType: undefined,
  oldestMs: Date.UTC(2020, 0),
  maxEventBytes: 32_768,
  requestBytes: 500_000,
  checkStrings: true,
}
const check = (event: unknown, limits: Partial<EventLimits> = {}) =>
  checkEvent(event, { ...LIMITS, ...limits }, { checkStrings: true, chars: 0 })

describe('ids', () => {
  test('whole numbers become text, as Segment takes them', () => {
    const event = { type: 'track', event: 'E', userId: 42 }
    expect(check(event)).toBeUndefined()
    expect(event.userId).toBe('42')
  })
  test('null and empty text are absent', () => {
    const event = { type: 'identify', userId: null, anonymousId: 'a', messageId: '' }
    expect(check(event)).toBeUndefined()
    expect(JSON.parse(JSON.stringify(event))).toEqual({ type: 'identify', anonymousId: 'a' })
  })
  test('of 256 characters pass, of 257 do not', () => {
    expect(check({ type: 'page', userId: 'x'.repeat(256) })).toBeUndefined()
    expect(check({ type: 'page', userId: 'x'.repeat(257) })).toMatchObject({ field: 'userId' })
  })
  test('a group needs groupId, an alias both of its ids', () => {
    expect(check({ type: 'group', userId: 'u' })).toMatchObject({ field: 'groupId' })
    expect(check({ type: 'alias', userId: 'u' })).toMatchObject({ field: 'previousId' })
    expect(check({ type: 'alias', anonymousId: 'a', previousId: 'b' })).toMatchObject({ field: 'userId' })
  })
})

describe('names', () => {
  test('two spellings of one name are one name', () => {
    const event = { type: 'track', event: 'Cafe\u0301', userId: 'u' }
    expect(check(event)).toBeUndefined()
    expect(event.event).toBe('Café')
  })
  test('emoji, other scripts and spaces inside are names', () => {
    for (const event of ['👩‍👩‍👧 Bought', '注文完了', 'Order  Completed', 'سفارش‌ها']) {
      expect(check({ type: 'track', event, userId: 'u' })).toBeUndefined()
    }
  })
})

test('the type of the path wins over the type of the body', () => {
  const event = { type: 'track', userId: 'u' }
  expect(check(event, { pathType: 'identify' })).toBeUndefined()
  expect(event.type).toBe('identify')
})

test('an event is dated by timestamp, else originalTimestamp, and must not be older than its source accepts', () => {
  const old = '2019-12-31T23:59:59Z'
  const fine = '2021-01-01T00:00:00Z'
  const base = { type: 'page', userId: 'u' }
  expect(check({ ...base, timestamp: old })).toMatchObject({ code: 'event_out_of_range', field: 'timestamp' })
  expect(check({ ...base, originalTimestamp: old })).toMatchObject({ field: 'originalTimestamp' })
  expect(check({ ...base, timestamp: fine, originalTimestamp: old })).toBeUndefined()
  expect(check({ ...base, sentAt: old })).toBeUndefined()
})

test('the size of an event is judged by its bytes as JSON, whatever its characters cost', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 9000 }),
    fc
      .constantFrom('x', '€', '😀', '"', '\u0001')
      .chain((unit) => fc.integer({ min: 1000, max: 33_000 }).map((count) => unit.repeat(count))),
  )
  fc.assert(
    fc.property(text, (value) => {
      const event = { type: 'page', userId: 'u', properties: { value } }
      const tooLarge = Buffer.byteLength(JSON.stringify(event)) > 32_768
      const issue = check(event, { checkStrings: false })
      expect(issue?.code === 'payload_too_large').toBe(tooLarge)
    }),
    { numRuns: 200 },
  )
})

test('without a \\u escape in the text, strings need no look: the answer is the same', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      fc.pre(!text.includes('\\u'))
      const long = findFlaw(JSON.parse(text), { checkStrings: true, chars: 0 }, 1)
      const short = findFlaw(JSON.parse(text), { checkStrings: false, chars: 0 }, 1)
      expect(short).toEqual(long)
    }),
    { numRuns: 500 },
  )
})

test('what passes survives JSON unchanged', () => {
  fc.assert(
    fc.property(fc.jsonValue({ depthSize: 'medium' }), (properties) => {
      const event = { type: 'track', event: 'E', userId: 'u', properties: { properties } }
      if (check(event) !== undefined) return
      const text = JSON.stringify(event)
      expect(JSON.stringify(JSON.parse(text))).toBe(text)
      expect(text.isWellFormed()).toBe(true)
    }),
  )
})
