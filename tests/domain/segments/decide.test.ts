// Decisions on the values of scans: exact amounts, no data, and when time alone may change the answer.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareDecimals, decide, EMPTY_SCAN, type ScanValue } from '../../../domain/segments/decide.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { compileRule } from '../../../domain/segments/plan.ts'

const agg = (over: Record<string, unknown>) => ({
  k: 'agg',
  event: 'Order Completed',
  agg: 'count',
  window: { k: 'rolling', last: 'P30D' },
  op: 'gt',
  value: 5,
  ...over,
})

/** Decides a rule on one value for all its scans. */
function decided(match: unknown, value: Partial<ScanValue> = {}, traits: Record<string, unknown> = {}) {
  const plan = compileRule(parseRule({ match }))
  const scans = new Map(plan.scans.map((scan) => [scan.key, { ...EMPTY_SCAN, ...value }]))
  return decide(plan, scans, traits)
}

describe('aggregates', () => {
  test('no events: count and sum are 0, and nothing else is true of them', () => {
    expect(decided(agg({ op: 'eq', value: 0 })).member).toBe(true)
    expect(decided(agg({ agg: 'sum', prop: 'qty', op: 'lt', value: 1 })).member).toBe(true)
    for (const name of ['min', 'max', 'avg'])
      for (const op of ['gt', 'gte', 'lt', 'lte', 'eq', 'ne'])
        expect(decided(agg({ agg: name, prop: 'qty', op, value: 0 })).member).toBe(false)
  })

  test('revenue is compared to the cent, however large', () => {
    const over = { agg: 'sum', prop: 'revenue', value: '1000.00' }
    expect(decided(agg(over), { sum: '100000' }).member).toBe(false)
    expect(decided(agg(over), { sum: '100001' }).member).toBe(true)
    const huge = { agg: 'sum', prop: 'qty', value: '900719925474099.3' }
    expect(decided(agg(huge), { sum: '900719925474099.30' }).member).toBe(false)
    expect(decided(agg(huge), { sum: '900719925474099.31' }).member).toBe(true)
  })

  test('an average of thirds is compared without dividing', () => {
    const third = { agg: 'avg', prop: 'qty', op: 'lt', value: '0.333334' }
    expect(decided(agg(third), { count: 3, valued: 3, sum: '1' }).member).toBe(true)
    expect(decided(agg({ ...third, value: '0.333333' }), { count: 3, valued: 3, sum: '1' }).member).toBe(
      false,
    )
    expect(decided(agg({ ...third, op: 'eq', value: -0.5 }), { count: 2, valued: 2, sum: '-1' }).member).toBe(
      true,
    )
  })

  test('decimals are ordered as numbers are', () => {
    const decimal = fc.record({
      units: fc.integer({ min: -10_000, max: 10_000 }),
      scale: fc.integer({ min: 0, max: 3 }),
    })
    const textOf = ({ units, scale }: { units: number; scale: number }) =>
      (units / 10 ** scale).toFixed(scale)
    fc.assert(
      fc.property(decimal, decimal, (a, b) => {
        const [left, right] = [a.units * 10 ** (3 - a.scale), b.units * 10 ** (3 - b.scale)]
        expect(compareDecimals(textOf(a), textOf(b))).toBe(Math.sign(left - right))
      }),
    )
    expect(compareDecimals('1e-7', '0.0000001')).toBe(0)
    expect(compareDecimals('-0.5', '-0.25')).toBe(-1)
  })
})

describe('traits', () => {
  const holds = (op: string, value: unknown, traits: Record<string, unknown>) =>
    decided({ k: 'trait', path: 'a', op, ...(value === undefined ? {} : { value }) }, {}, traits).member

  test('a missing or null trait is false for everything but missing', () => {
    for (const traits of [{}, { a: null }]) {
      expect(holds('missing', undefined, traits)).toBe(true)
      expect(holds('exists', undefined, traits)).toBe(false)
      for (const op of ['eq', 'ne', 'gt', 'lt']) expect(holds(op, 1, traits)).toBe(false)
      expect(holds('in', [1], traits)).toBe(false)
    }
  })

  test('types are not mixed', () => {
    expect(holds('eq', 1, { a: '1' })).toBe(false)
    expect(holds('gt', 1, { a: '2' })).toBe(false)
    expect(holds('in', ['1'], { a: 1 })).toBe(false)
    expect(holds('eq', true, { a: 'true' })).toBe(false)
  })

  test('contains looks into lists and texts', () => {
    expect(holds('contains', 'b', { a: ['a', 'b'] })).toBe(true)
    expect(holds('contains', 'b', { a: 'abc' })).toBe(true)
    expect(holds('contains', 'b', { a: { b: 1 } })).toBe(false)
  })

  test('a path goes down objects, but a name with a dot comes first, and nothing is inherited', () => {
    const at = (path: string, traits: Record<string, unknown>) =>
      decided({ k: 'trait', path, op: 'exists' }, {}, traits).member
    expect(at('address.city', { address: { city: 'Ulm' } })).toBe(true)
    expect(at('address.city', { 'address.city': 'Ulm' })).toBe(true)
    expect(at('address.city', { address: 'Ulm' })).toBe(false)
    for (const path of ['constructor', '__proto__', 'toString', 'address.constructor'])
      expect(at(path, { address: {} })).toBe(false)
  })
})

describe('wake-ups', () => {
  test('a count that is too low does not wait for events to leave, one that is high enough does', () => {
    expect(decided(agg({}), { count: 3, leavesAt: 100 }).wakeAt).toBeNull()
    expect(decided(agg({}), { count: 6, leavesAt: 100 }).wakeAt).toBe(100)
    expect(decided(agg({ op: 'lt' }), { count: 6, leavesAt: 100 }).wakeAt).toBe(100)
    expect(decided(agg({ op: 'eq' }), { count: 6, leavesAt: 100 }).wakeAt).toBe(100)
  })

  test('an event that is dated ahead always counts when it is due', () => {
    expect(decided(agg({}), { count: 3, leavesAt: 50, entersAt: 100 }).wakeAt).toBe(100)
    expect(decided(agg({}), { count: 9, leavesAt: 200, entersAt: 100 }).wakeAt).toBe(100)
  })

  test('a sum that is too low waits: a refund may leave', () => {
    const sum = agg({ agg: 'sum', prop: 'qty', value: 5 })
    expect(decided(sum, { count: 1, valued: 1, sum: '3', leavesAt: 100 }).wakeAt).toBe(100)
  })

  test('the earliest of all conditions counts', () => {
    const plan = compileRule(
      parseRule({ match: { k: 'any', of: [agg({ op: 'lt' }), agg({ event: 'Viewed', op: 'lt' })] } }),
    )
    const scans = new Map(plan.scans.map((scan, i) => [scan.key, { ...EMPTY_SCAN, leavesAt: 300 - i * 100 }]))
    expect(decide(plan, scans, {})).toEqual({ member: true, wakeAt: 200 })
  })
})

test('all, any, not and at least are what they say', () => {
  const [yes, no] = [
    { k: 'trait', path: 'a', op: 'exists' },
    { k: 'trait', path: 'b', op: 'exists' },
  ]
  const holds = (match: unknown) => decided(match, {}, { a: 1 }).member
  expect(holds({ k: 'all', of: [yes, yes] })).toBe(true)
  expect(holds({ k: 'all', of: [yes, no] })).toBe(false)
  expect(holds({ k: 'any', of: [no, yes] })).toBe(true)
  expect(holds({ k: 'any', of: [no, no] })).toBe(false)
  expect(holds({ k: 'not', of: no })).toBe(true)
  expect(holds({ k: 'atLeast', n: 2, of: [yes, no, yes] })).toBe(true)
  expect(holds({ k: 'atLeast', n: 3, of: [yes, no, yes] })).toBe(false)
})
