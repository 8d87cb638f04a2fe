// Windows since an event, clocks inside windows, the k-th step, and how long a trait has been what it is: by example, to the
// millisecond. Random ones are in decide.test.ts.
import { describe, expect, test } from 'vitest'
import { decide, factsFor } from '../../../domain/segments/decide.ts'
import { indexEvents, type Occurrence } from '../../../domain/segments/facts.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { compileRule } from '../../../domain/segments/plan.ts'
import { NEVER } from '../../../domain/segments/timed.ts'
import { HOUR, START } from '../../support/random-lives.ts'

const DAY = 24 * HOUR
const EVER = { k: 'lifetime' }
type Known = { traits?: Record<string, unknown>; traitSince?: Record<string, number> }

function decided(match: unknown, events: [string, number, object?][], atMs = START, known: Known = {}) {
  const plan = compileRule(parseRule({ match }))
  const occurrences = events
    .map(
      ([name, time, props = {}]): Occurrence => ({
        type: 'track',
        name,
        time,
        value: null,
        currency: null,
        props: { ...props },
      }),
    )
    .sort((a, b) => a.time - b.time)
  const person = { profileId: 1, traits: {}, traitSince: {}, firstMs: 0, lists: new Set<string>(), ...known }
  return decide(plan, factsFor(plan, { ...person, events: indexEvents(occurrences) }, new Map()), atMs)
}
const count = (window: object, op: string, value: number, rest = {}) => ({
  ...{ k: 'agg', event: 'Order', agg: 'count', window, op, value },
  ...rest,
})

describe('a window since an event', () => {
  const since = (pick: string, where?: object[]) => ({
    ...{ k: 'since', anchor: { event: 'Subscribed', ...(where === undefined ? {} : { where }), pick } },
  })
  const orders = (...times: number[]) => times.map((time): [string, number] => ['Order', time])

  test('is empty as long as there was none', () => {
    expect(decided(count(since('first'), 'eq', 0), orders(START - 1))).toEqual({ holds: true, until: NEVER })
    expect(decided({ k: 'absence', event: 'Order', window: since('last') }, orders(START - 1)).holds).toBe(
      true,
    )
    expect(
      decided(count(since('first'), 'gte', 0, { agg: 'avg', prop: 'qty' }), orders(START - 1)).holds,
    ).toBe(false)
  })

  test('has neither the event itself nor what was at its instant', () => {
    const at = START - DAY
    expect(decided(count(since('last'), 'eq', 1), [['Subscribed', at], ...orders(at, at + 1)]).holds).toBe(
      true,
    )
    const own = { k: 'agg', event: 'Subscribed', agg: 'count', window: since('last'), op: 'eq', value: 0 }
    expect(
      decided(own, [
        ['Subscribed', at],
        ['Subscribed', at + 1],
      ]).holds,
    ).toBe(true)
  })

  test('goes by the first or the last of those that fit', () => {
    const gold = [{ prop: 'plan', op: 'eq', value: 'gold' }]
    const life: [string, number, object?][] = [
      ['Subscribed', START - 9 * DAY, { plan: 'free' }],
      ['Subscribed', START - 7 * DAY, { plan: 'gold' }],
      ['Subscribed', START - 3 * DAY, { plan: 'gold' }],
      ['Subscribed', START - 1 * DAY, { plan: 'free' }],
      ...orders(START - 8 * DAY, START - 5 * DAY, START - 2 * DAY, START - 1),
    ]
    const sizes = [since('first'), since('first', gold), since('last', gold), since('last')].map((window) =>
      [4, 3, 2, 1].find((size) => decided(count(window, 'eq', size), life).holds),
    )
    expect(sizes).toEqual([4, 3, 2, 1])
  })

  test('begins anew at an event dated ahead, at its instant', () => {
    const life: [string, number][] = [
      ['Subscribed', START - DAY],
      ['Subscribed', START + 60_000],
      ...orders(START - 1),
    ]
    expect(decided(count(since('last'), 'gte', 1), life)).toEqual({ holds: true, until: START + 60_000 })
    expect(decided(count(since('first'), 'gte', 1), life)).toEqual({ holds: true, until: NEVER })
    expect(decided(count(since('last'), 'gte', 1), life, START + 60_000)).toEqual({
      holds: false,
      until: NEVER,
    })
  })

  test('is waited for with what comes after it', () => {
    const life: [string, number][] = [
      ['Subscribed', START + 60_000],
      ...orders(START - 1, START + 60_000, START + 90_000),
    ]
    for (const pick of ['first', 'last'])
      expect(decided(count(since(pick), 'gte', 1), life)).toEqual({ holds: false, until: START + 90_000 })
  })
})

describe('a clock inside a window', () => {
  const at = (text: string) => Date.parse(text)
  const on = (clock: object, time: string, traits = {}, window: object = EVER) =>
    decided(count({ ...window, clock }, 'gte', 1), [['Order', at(time)]], at('2026-12-31T00:00:00Z'), {
      traits,
    }).holds
  const berlin = { tz: 'Europe/Berlin' }

  test('lets through days and hours, from the first minute on and before the last', () => {
    const office = { dow: ['mon', 'fri'], hours: { from: '09:00', to: '17:30' }, ...berlin }
    expect(on(office, '2026-11-16T08:00:00.000Z')).toBe(true)
    expect(on(office, '2026-11-16T07:59:59.999Z')).toBe(false)
    expect(on(office, '2026-11-16T16:29:59.999Z')).toBe(true)
    expect(on(office, '2026-11-16T16:30:00.000Z')).toBe(false)
    expect(on(office, '2026-11-17T10:00:00.000Z')).toBe(false)
  })

  test('goes over midnight, and hours belong to the day that they are in', () => {
    const night = { dow: ['fri'], hours: { from: '22:00', to: '06:00' } }
    expect(on(night, '2026-11-20T23:00:00Z')).toBe(true)
    expect(on(night, '2026-11-20T05:59:59.999Z')).toBe(true)
    expect(on(night, '2026-11-21T01:00:00Z')).toBe(false)
    expect(on(night, '2026-11-20T12:00:00Z')).toBe(false)
    expect(on({ hours: { from: '22:00', to: '24:00' } }, '2026-11-20T23:59:59.999Z')).toBe(true)
    expect(on({ hours: { from: '22:00', to: '24:00' } }, '2026-11-21T00:00:00Z')).toBe(false)
  })

  test('takes an hour twice when the clock is set back, and never one that is left out', () => {
    const hour = { hours: { from: '02:00', to: '03:00' }, ...berlin }
    // 25 October 2026: 02:00 to 03:00 comes at 00:00 and at 01:00 UTC.
    const back = [
      '2026-10-24T23:59:59.999Z',
      '2026-10-25T00:00:00Z',
      '2026-10-25T01:59:59.999Z',
      '2026-10-25T02:00:00Z',
    ]
    expect(back.map((time) => on(hour, time))).toEqual([false, true, true, false])
    // 29 March 2026: after 01:59:59.999 comes 03:00.
    expect(['2026-03-29T00:59:59.999Z', '2026-03-29T01:00:00Z'].map((time) => on(hour, time))).toEqual([
      false,
      false,
    ])
    // Lord Howe goes half an hour back: 01:30 to 02:00 comes twice.
    const half = { hours: { from: '01:30', to: '02:00' }, tz: 'Australia/Lord_Howe' }
    const howe = [
      '2026-04-04T14:29:59.999Z',
      '2026-04-04T14:30:00Z',
      '2026-04-04T15:29:59.999Z',
      '2026-04-04T15:30:00Z',
    ]
    expect(howe.map((time) => on(half, time))).toEqual([false, true, true, false])
  })

  test('goes by its own zone, else that of a calendar window, else UTC; by a trait that names none UTC', () => {
    const ten = { hours: { from: '10:00', to: '11:00' } }
    const year = { k: 'calendar', unit: 'year', tz: 'Asia/Tokyo' }
    expect(on(ten, '2026-11-20T10:30:00Z')).toBe(true)
    expect(on(ten, '2026-11-20T01:30:00Z', {}, year)).toBe(true)
    expect(on({ ...ten, tz: 'UTC' }, '2026-11-20T01:30:00Z', {}, year)).toBe(false)
    const own = { ...ten, tz: { trait: 'zone' } }
    expect(on(own, '2026-11-20T04:45:00Z', { zone: 'Asia/Kathmandu' })).toBe(true)
    expect(on(own, '2026-11-20T10:30:00Z', { zone: 'Nowhere/Land' })).toBe(true)
    expect(on(own, '2026-11-20T10:30:00Z')).toBe(true)
  })

  test('waits only for what it lets through', () => {
    const life: [string, number][] = [
      ['Order', at('2026-11-16T12:00:00Z')],
      ['Order', at('2026-11-17T12:00:00Z')],
    ]
    const window = { k: 'rolling', last: 'P30D', clock: { dow: ['tue'] } }
    expect(decided(count(window, 'gte', 1), life, at('2026-11-18T00:00:00Z'))).toEqual({
      ...{ holds: true, until: at('2026-12-17T12:00:00Z') },
    })
  })
})

describe('the k-th event of the first step', () => {
  const quiet = (anchor: unknown) => ({
    ...{
      k: 'seq',
      window: EVER,
      anchor,
      steps: [{ event: 'Order' }],
      none: { event: 'Refund', within: 'P1D' },
    },
  })
  const life = (...orders: number[]): [string, number][] => [
    ...orders.map((hours): [string, number] => ['Order', START + hours * HOUR]),
    ['Refund', START - 40 * HOUR],
  ]

  test('is counted from the oldest, and false while there are fewer', () => {
    const orders = life(-72, -48, -25)
    expect([1, 2, 3, 4].map((kth) => decided(quiet({ kth }), orders).holds)).toEqual([
      true,
      false,
      true,
      false,
    ])
  })

  test('waits for its own deadline', () => {
    expect(decided(quiet({ kth: 3 }), life(-72, -48, -2))).toEqual({ holds: false, until: START + 22 * HOUR })
  })

  test('of those at its instant any may be it', () => {
    const step = {
      k: 'seq',
      window: EVER,
      anchor: { kth: 2 },
      steps: [{ event: 'Order' }, { event: 'Refund', same: ['sku'] }],
    }
    const at = START - 3 * HOUR
    const events: [string, number, object][] = [
      ['Order', at - 1, { sku: 'c' }],
      ['Order', at, { sku: 'a' }],
      ['Order', at, { sku: 'b' }],
    ]
    const refund = (sku: string): [string, number, object] => ['Refund', at + 1, { sku }]
    expect(['a', 'b', 'c'].map((sku) => decided(step, [...events, refund(sku)]).holds)).toEqual([
      true,
      true,
      false,
    ])
  })
})

describe('how long a trait has been what it is', () => {
  const gold = { k: 'dwell', path: 'plan', value: 'gold', for: 'P30D' }
  const plan = (value: unknown, sinceMs?: number) => ({
    ...{ traits: { plan: value }, traitSince: sinceMs === undefined ? {} : { plan: sinceMs } },
  })

  test('is true from the millisecond on, and by time alone for ever', () => {
    const since = START - 30 * DAY
    expect(decided(gold, [], START, plan('gold', since))).toEqual({ holds: true, until: NEVER })
    expect(decided(gold, [], START, plan('gold', since + 1))).toEqual({ holds: false, until: START + 1 })
    expect(decided({ k: 'not', of: gold }, [], START, plan('gold', START))).toEqual({
      holds: true,
      until: START + 30 * DAY,
    })
  })

  test('is false of another value, another type and none', () => {
    for (const value of ['free', 1, null, ['gold']])
      expect(decided(gold, [], START, plan(value, 0))).toEqual({ holds: false, until: NEVER })
    expect(decided(gold, [], START, {}).holds).toBe(false)
    expect(decided(gold, [], START, plan('gold')).holds).toBe(false)
    const inherited = { k: 'dwell', path: 'constructor', value: 'x', for: 'P1D' }
    expect(decided(inherited, [], START, { traits: { constructor: 'x' }, traitSince: {} }).holds).toBe(false)
  })

  test('of a path goes by the object, of a name with a dot by its own', () => {
    const city = { k: 'dwell', path: 'address.city', value: 'Ulm', for: 'P1D' }
    const since = { address: START - DAY, 'address.city': START }
    expect(decided(city, [], START, { traits: { address: { city: 'Ulm' } }, traitSince: since }).holds).toBe(
      true,
    )
    expect(decided(city, [], START, { traits: { 'address.city': 'Ulm' }, traitSince: since }).holds).toBe(
      false,
    )
  })
})
