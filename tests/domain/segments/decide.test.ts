// Decisions on what is known of a person: exact amounts, no data, and the instants at which time alone changes the answer.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decide, factsFor, lastChange } from '../../../domain/segments/decide.ts'
import { missingTo } from '../../../domain/segments/decimals.ts'
import { type Facts, indexEvents, type Occurrence } from '../../../domain/segments/facts.ts'
import { parseRule } from '../../../domain/segments/parse.ts'
import { compileRule, type Plan } from '../../../domain/segments/plan.ts'
import { NEVER } from '../../../domain/segments/timed.ts'
import { occurrenceOf } from '../../support/occurrence.ts'
import { suppressedOf } from '../../support/oracle-contact.ts'
import { DAYS, HOUR, life, lists, START, statements, traits } from '../../support/random-lives.ts'
import { KNOWN_METRICS, MEASURED } from '../../support/random-metrics.ts'
import { ruleNode } from '../../support/random-rules.ts'
import { isMember } from '../../support/segment-oracle.ts'
import { toldBy } from '../../support/told-traits.ts'

const DAY = 24 * HOUR
const agg = (over: Record<string, unknown>) => ({
  ...{ k: 'agg', event: 'Order Completed', agg: 'count', op: 'gt', value: 5 },
  window: { k: 'rolling', last: 'P30D' },
  ...over,
})

const event = (time: number, over: Partial<Occurrence> = {}): Occurrence => ({
  type: 'track',
  name: 'Order Completed',
  time,
  value: null,
  currency: null,
  props: {},
  ...over,
})
/** Orders some days before START, each of a quantity. */
const quantities = (...of: unknown[]) =>
  of.map((qty, i) => event(START - (of.length - i) * DAY, { props: { qty } }))

function factsOf(plan: Plan, events: Occurrence[], known: Record<string, unknown> = {}): Facts {
  const lists = new Set<string>()
  const person = { profileId: 7, traits: known, traitSince: {}, firstMs: START - 40 * DAY, lists }
  return factsFor(plan, { ...person, events: indexEvents(events) }, new Map())
}

function decided(match: unknown, events: Occurrence[] = [], known: Record<string, unknown> = {}) {
  const plan = compileRule(parseRule({ match }))
  return decide(plan, factsOf(plan, events, known), START)
}

describe('aggregates', () => {
  test('no events: count and sum are 0, and nothing else is true of them', () => {
    expect(decided(agg({ op: 'eq', value: 0 })).holds).toBe(true)
    expect(decided(agg({ agg: 'sum', prop: 'qty', op: 'lt', value: 1 })).holds).toBe(true)
    expect(decided(agg({ agg: 'distinct', prop: 'qty', op: 'eq', value: 0 })).holds).toBe(true)
    for (const name of ['min', 'max', 'avg'])
      for (const op of ['gt', 'gte', 'lt', 'lte', 'eq', 'ne'])
        expect(decided(agg({ agg: name, prop: 'qty', op, value: 0 })).holds).toBe(false)
  })

  test('revenue is compared to the cent, however large', () => {
    const over = agg({ agg: 'sum', prop: 'revenue', value: '1000.00' })
    const paid = (...cents: number[]) => cents.map((value, i) => event(START - i, { value, currency: 'USD' }))
    expect(decided(over, paid(60_000, 40_000)).holds).toBe(false)
    expect(decided(over, paid(60_000, 40_001)).holds).toBe(true)
    const huge = agg({ agg: 'sum', prop: 'revenue', unit: 'minor', value: '900719925474099' })
    expect(decided(huge, paid(900_719_925_474_000, 99)).holds).toBe(false)
    expect(decided(huge, paid(900_719_925_474_000, 100)).holds).toBe(true)
  })

  test('amounts are decimals, not binary fractions', () => {
    const tenths = quantities(0.1, 0.2)
    expect(decided(agg({ agg: 'sum', prop: 'qty', op: 'eq', value: '0.3' }), tenths).holds).toBe(true)
    expect(decided(agg({ agg: 'avg', prop: 'qty', op: 'eq', value: '0.15' }), tenths).holds).toBe(true)
    expect(decided(agg({ agg: 'max', prop: 'qty', op: 'gt', value: '0.2' }), tenths).holds).toBe(false)
    const whole = quantities(9_007_199_254_740_991, 2)
    expect(decided(agg({ agg: 'sum', prop: 'qty', op: 'gt', value: '900719925474099' }), whole).holds).toBe(
      true,
    )
  })

  test('an average of thirds is compared without dividing', () => {
    const third = { agg: 'avg', prop: 'qty', op: 'lt', value: '0.333334' }
    const one = quantities(1, 0, 0)
    expect(decided(agg(third), one).holds).toBe(true)
    expect(decided(agg({ ...third, value: '0.333333' }), one).holds).toBe(false)
    expect(decided(agg({ ...third, op: 'eq', value: -0.5 }), quantities(-1, 0)).holds).toBe(true)
  })

  test('decimals are ordered as numbers are', () => {
    const compareDecimals = (a: string, b: string) => {
      const missing = missingTo(a, b)
      return missing === '0' ? 0 : missing.startsWith('-') ? -1 : 1
    }
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
    expect(compareDecimals('1e21', '1000000000000000000000')).toBe(0)
    expect(compareDecimals('-0.5', '-0.25')).toBe(-1)
  })
})

describe('traits', () => {
  const holds = (op: string, value: unknown, traits: Record<string, unknown>) =>
    decided({ k: 'trait', path: 'a', op, ...(value === undefined ? {} : { value }) }, [], traits).holds

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
      decided({ k: 'trait', path, op: 'exists' }, [], traits).holds
    expect(at('address.city', { address: { city: 'Ulm' } })).toBe(true)
    expect(at('address.city', { 'address.city': 'Ulm' })).toBe(true)
    expect(at('address.city', { address: 'Ulm' })).toBe(false)
    for (const path of ['constructor', '__proto__', 'toString', 'address.constructor'])
      expect(at(path, { address: {} })).toBe(false)
  })
})

describe('the instant at which time alone changes the answer', () => {
  const orders = [1, 2, 3, 4, 5, 6, 7].map((days) => event(START - days * DAY)).reverse()

  test('is when the event leaves that makes the difference, not the first that leaves', () => {
    // Seven orders, more than five: it ends when the second oldest, six days old, leaves.
    expect(decided(agg({}), orders)).toEqual({ holds: true, until: START + 24 * DAY })
    expect(decided(agg({ op: 'lt', value: 2 }), orders)).toEqual({ holds: false, until: START + 28 * DAY })
    expect(decided(agg({ op: 'gt', value: 7 }), orders)).toEqual({ holds: false, until: NEVER })
  })

  test('is when an event comes due that is dated ahead', () => {
    const ahead = [...orders.slice(2), event(START + 60_000)]
    expect(decided(agg({}), ahead)).toEqual({ holds: false, until: START + 60_000 })
  })

  test('a sum that is too low waits for a refund to leave', () => {
    const sum = agg({ agg: 'sum', prop: 'qty', value: 5 })
    expect(decided(sum, quantities(-9, 6)).until).toBe(START + 28 * DAY)
    expect(decided(sum, quantities(1, 2)).until).toBe(NEVER)
  })

  test('all that is false must turn before all can be true, and no sooner', () => {
    const not = (of: unknown) => ({ k: 'not', of })
    const few = (value: number) => not(agg({ op: 'gte', value }))
    // Fewer than seven from 23 days on, fewer than five from 25 on.
    expect(decided({ k: 'all', of: [few(7), few(5)] }, orders)).toEqual({
      holds: false,
      until: START + 25 * DAY,
    })
    expect(decided({ k: 'any', of: [few(7), few(5)] }, orders).until).toBe(START + 23 * DAY)
    const never = { k: 'trait', path: 'country', op: 'eq', value: 'JP' }
    expect(decided({ k: 'all', of: [few(7), never] }, orders).until).toBe(NEVER)
    expect(decided({ k: 'atLeast', n: 2, of: [few(7), few(6), never] }, orders).until).toBe(START + 24 * DAY)
  })

  test('a change that was not looked at in time is found at its instant', () => {
    const plan = compileRule(parseRule({ match: agg({}) }))
    const facts = factsOf(plan, orders)
    expect(lastChange(plan, facts, START, START + 60 * DAY)).toBe(START + 24 * DAY)
    expect(lastChange(plan, facts, START, START + 24 * DAY - 1)).toBeUndefined()
  })
})

test('every rule is what its plain meaning says, from change to change, and never changes in between', () => {
  const hours = fc.integer({ min: -30, max: 60 })
  let changes = 0
  fc.assert(
    fc.property(
      ruleNode,
      life,
      traits,
      statements,
      lists,
      hours,
      fc.constantFrom(...DAYS),
      (match, ...random) => {
        const [lives, first, said, inLists, hour, day] = random
        const events = lives.map((one) => ({ ...one, time: one.time - START + day }))
        const plan = compileRule(parseRule({ match }), KNOWN_METRICS)
        const rule = { match }
        const firstSeen = day - 48 * HOUR
        const later = said.map((one) => ({ ...one, time: one.time - START + day }))
        const told = toldBy([{ time: firstSeen, traits: first }, ...later])
        const person = { ...MEASURED, ...told.person, events, profileId: 7, firstSeen, lists: inLists }
        const sorted = events.map(occurrenceOf).sort((a, b) => a.time - b.time)
        const known7 = { ...told.known, profileId: 7, firstMs: firstSeen, lists: new Set(inLists) }
        const suppressed = suppressedOf(told.known.traits)
        const facts = factsFor(plan, { ...known7, suppressed, events: indexEvents(sorted) }, new Map())
        let at = day + hour * HOUR
        for (let step = 0; step < 6; step++) {
          const { holds, until } = decide(plan, facts, at)
          expect(holds, `at ${new Date(at).toISOString()}`).toBe(isMember(rule, person, at))
          // What is between now and then is as now: a millisecond later, in the midst, a millisecond before.
          const end = Math.min(until, at + 40 * DAY)
          for (const between of [
            at + 1,
            at + Math.floor((end - at) / 3),
            at + Math.floor((end - at) / 2),
            end - 1,
          ])
            if (between > at && between < end)
              expect(
                holds,
                `until ${new Date(end).toISOString()}, at ${new Date(between).toISOString()}`,
              ).toBe(isMember(rule, person, between))
          if (until > day + 400 * DAY) break
          if (decide(plan, facts, until).holds !== holds) changes += 1
          at = until
        }
      },
    ),
    { numRuns: Number(process.env.MILLRACE_RUNS ?? 3000) },
  )
  expect(changes).toBeGreaterThan(150)
}, 120_000)

test('a rule over other segments is what theirs say at that instant, and changes when they do', () => {
  const over = (match: unknown) => parseRule({ match })
  const refer = (segment: string) => ({ k: 'segment', segment })
  const hours = fc.integer({ min: -30, max: 30 })
  fc.assert(
    fc.property(ruleNode, ruleNode, ruleNode, life, lists, hours, (a, b, own, events, inLists, hour) => {
      const segments = {
        a: over(a),
        b: over(b),
        both: over({ k: 'all', of: [refer('a'), { k: 'not', of: refer('b') }] }),
      }
      const rule = over({
        k: 'any',
        of: [refer('both'), { k: 'all', of: [refer('b'), own, refer('gone')] }, refer('a')],
      })
      const plans = new Map(
        Object.entries(segments).map(([slug, one]) => [slug, compileRule(one, KNOWN_METRICS)]),
      )
      const plan = compileRule(rule, KNOWN_METRICS)
      const firstMs = START - 48 * HOUR
      const over7 = { ...MEASURED, segments, traits: {}, profileId: 7 }
      const person = { ...over7, events, firstSeen: firstMs, lists: inLists }
      const sorted = events.map(occurrenceOf).sort((one, other) => one.time - other.time)
      const known = { profileId: 7, traits: {}, traitSince: {}, firstMs, lists: new Set(inLists) }
      const facts = factsFor(plan, { ...known, events: indexEvents(sorted) }, plans)
      let at = START + hour * HOUR
      for (let step = 0; step < 4; step++) {
        const { holds, until } = decide(plan, facts, at)
        expect(holds).toBe(isMember(rule, person, at))
        const end = Math.min(until, at + 40 * DAY)
        for (const between of [at + 1, at + Math.floor((end - at) / 2), end - 1])
          if (between > at && between < end) expect(holds).toBe(isMember(rule, person, between))
        if (until > START + 400 * DAY) break
        at = until
      }
    }),
    { numRuns: 500 },
  )
})

test('all, any, not and at least are what they say', () => {
  const [yes, no] = [
    { k: 'trait', path: 'a', op: 'exists' },
    { k: 'trait', path: 'b', op: 'exists' },
  ]
  const holds = (match: unknown) => decided(match, [], { a: 1 }).holds
  expect(holds({ k: 'all', of: [yes, yes] })).toBe(true)
  expect(holds({ k: 'all', of: [yes, no] })).toBe(false)
  expect(holds({ k: 'any', of: [no, yes] })).toBe(true)
  expect(holds({ k: 'any', of: [no, no] })).toBe(false)
  expect(holds({ k: 'not', of: no })).toBe(true)
  expect(holds({ k: 'atLeast', n: 2, of: [yes, no, yes] })).toBe(true)
  expect(holds({ k: 'atLeast', n: 3, of: [yes, no, yes] })).toBe(false)
})
