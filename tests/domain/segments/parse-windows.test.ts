// Mistakes in windows, clocks, anchors, patterns and times are refused with their path, a reason and what was perhaps meant.
import { expect, test } from 'vitest'
import { askedBy } from '../../../domain/segments/asked.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { compileRule } from '../../../domain/segments/plan.ts'
import { MillraceError } from '../../../runtime/errors.ts'

const DAYS = { k: 'rolling', last: 'P30D' }
const count = { k: 'agg', event: 'Viewed', agg: 'count', window: DAYS, op: 'gt', value: 5 }
const on = (clock: unknown) => ({ ...count, window: { ...DAYS, clock } })
const since = (anchor: unknown, rest = {}) => ({ ...count, window: { k: 'since', anchor, ...rest } })
const steps = (anchor: unknown) => ({ k: 'seq', window: DAYS, anchor, steps: [{ event: 'x' }] })
const text = (op: string, value: unknown) => ({ k: 'trait', path: 'email', op, value })
const dwell = { k: 'dwell', path: 'plan', value: 'gold', for: 'P30D' }

test.each<[string, string, unknown]>([
  ['window.anchor', 'expected an object', since(undefined)],
  ['window.anchor.event', 'expected a text', since({ pick: 'last' })],
  ['window.anchor.pick', 'expected one of first, last', since({ event: 'x' })],
  ['window.anchor.pick', 'did you mean "last"', since({ event: 'x', pick: 'latst' })],
  ['window.anchor.within', 'is not known here', since({ event: 'x', pick: 'last', within: 'P1D' })],
  [
    'window.anchor.where[0].op',
    'expected one of',
    since({ event: 'x', pick: 'last', where: [{ prop: 'a', op: '~' }] }),
  ],
  ['window.last', 'is not known here', since({ event: 'x', pick: 'last' }, { last: 'P1D' })],
  ['window.k', 'did you mean "since"', { ...count, window: { k: 'sinse' } }],
  ['window.clock', 'expected an object', on('mon')],
  ['window.clock', 'expected "dow", "hours" or both', on({ tz: 'UTC' })],
  ['window.clock.day', 'is not known here', on({ day: ['mon'] })],
  ['window.clock.dow', 'expected a list of 1 to 7', on({ dow: [] })],
  ['window.clock.dow[0]', 'did you mean "mon"', on({ dow: ['monday'] })],
  ['window.clock.dow[2]', 'names "mon" again', on({ dow: ['mon', 'tue', 'mon'] })],
  ['window.clock.hours', 'expected an object', on({ hours: [9, 17] })],
  ['window.clock.hours.from', 'did you mean "09:00"', on({ hours: { from: 9, to: '17:00' } })],
  ['window.clock.hours.from', 'did you mean "00:00"', on({ hours: { from: '24:00', to: '17:00' } })],
  ['window.clock.hours.to', 'expected a time of the day', on({ hours: { from: '09:00', to: '25:00' } })],
  ['window.clock.hours.to', 'expected a time of the day', on({ hours: { from: '09:00' } })],
  ['window.clock.hours.to', 'is the same as from', on({ hours: { from: '09:00', to: '09:00' } })],
  ['window.clock.tz', 'IANA', on({ dow: ['mon'], tz: 'Berlin' })],
  ['anchor', 'expected one of any, first, latest', steps('third')],
  ['anchor', 'did you mean {"kth": 3}', steps(3)],
  ['anchor.nth', 'is not known here; known are kth', steps({ nth: 3 })],
  ['anchor.kth', 'expected a whole number from 1 to 1000', steps({ kth: 0 })],
  ['value', '"like" takes a text', text('like', 7)],
  ['value', 'did you mean', text('like', 'a\\b')],
  ['value', 'is longer than the 200 characters of a pattern', text('like', '*'.repeat(201))],
  ['value', '"matches" takes a text', text('matches', true)],
  ['value', 'is not a regular expression of RE2: missing closing )', text('matches', '(a')],
  ['value', 'look-around and back references are not known here', text('matches', '^(?!a)')],
  ['value', 'use smaller counts', text('matches', 'a{500}')],
  ['op', 'did you mean "matches"', text('match', 'a')],
  ['value', 'expected a text, a number, true or false', { ...dwell, value: ['gold'] }],
  ['value', 'expected a number, as type says', { ...dwell, type: 'number' }],
  ['for', 'expected a fixed duration', { ...dwell, for: 'P1M' }],
  ['op', 'is not known here', { ...dwell, op: 'eq' }],
  ['path', 'expected a text', { ...dwell, path: undefined }],
])('%s: %s', (field, reason, match) => {
  let refusal: unknown
  try {
    parseRule({ match })
  } catch (error) {
    refusal = error
  }
  if (!(refusal instanceof MillraceError)) throw new Error('the rule was taken')
  expect([refusal.code, refusal.field]).toEqual(['invalid_rule', `rule.match.${field}`])
  expect(refusal.detail).toContain(reason)
})

test('conditions on other days read other events of the same name, those on the same ones share them', () => {
  const friday = on({ dow: ['fri'] })
  const inputsOf = (...of: unknown[]) => compileRule(parseRule({ match: { k: 'all', of } })).inputs
  expect(inputsOf(friday, count)).toHaveLength(2)
  expect(inputsOf(friday, { ...friday, value: 9 })).toHaveLength(1)
  const [, anchor] = inputsOf(count, since({ event: 'Viewed', pick: 'first' }))
  // The anchor is looked for in all of somebody's life, so the input has no limit; it is the same events, and shared.
  expect(anchor).toBeUndefined()
  expect(inputsOf(count, since({ event: 'Viewed', pick: 'first' }))[0]).not.toHaveProperty('lastMs')
})

test('a rule asks for the events that a window begins with, and for identify where somebody is what they say', () => {
  const asked = (match: unknown) =>
    askedBy(compileRule(parseRule({ match }))).map(({ type, event }) => `${type} ${event}`)
  expect(asked(since({ event: 'Joined', pick: 'first' }))).toEqual(['track Joined', 'track Viewed'])
  expect(asked(on({ dow: ['fri'], tz: 'Asia/Tokyo' }))).toEqual(['track Viewed'])
  expect(asked(on({ dow: ['fri'], tz: { trait: 'zone' } }))).toEqual(['track Viewed', 'identify '])
  expect(asked(dwell)).toEqual(['identify '])
})
