// Since when a trait is what it is follows from what was said, not from the order in which it came, and outlives the events.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { needsEarlier, type TraitCall, withCalls } from '../../domain/trait-since.ts'
import type { TraitState } from '../../domain/traits.ts'
import { keepCalls, plainSince, seenBeside, sinceOf } from '../support/told-traits.ts'

const NONE: TraitState = { traits: {}, times: {} }

/** Few names, values and times, so that many calls say the same and meet at one instant. */
const calls: fc.Arbitrary<TraitCall[]> = fc
  .array(
    fc.record({
      traits: fc.dictionary(
        fc.constantFrom('plan', 'seat', 'constructor', 'hasOwnProperty'),
        fc.constantFrom<unknown>(
          'gold',
          'gold',
          'free',
          null,
          { row: 1, place: 'a' },
          { place: 'a', row: 1 },
        ),
        { maxKeys: 3 },
      ),
      timeMs: fc.integer({ min: 1, max: 8 }),
    }),
    { maxLength: 10 },
  )
  .map((list) => list.map((one, i) => ({ ...one, messageId: `m${i}` })))
const arrivals = calls.chain((list) =>
  fc.record({
    list: fc.constant(list),
    order: fc.shuffledSubarray(list, { minLength: list.length }),
    sizes: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: list.length, maxLength: list.length }),
  }),
)

/** The list is by message id, so that of one instant the last counts. */
const plainly = (list: TraitCall[], name: string) =>
  plainSince(
    list.map(({ traits, timeMs }) => ({ traits, time: timeMs })),
    name,
  )

describe('in any order of arrival, in groups of any size', () => {
  test('it is since the first instant from which on nothing else was true', () => {
    let looked = 0
    fc.assert(
      fc.property(arrivals, ({ list, order, sizes }) => {
        let stored = NONE
        let from = 0
        for (const size of sizes) {
          const group = order.slice(from, from + size)
          const earlier = seenBeside(stored, group, order.slice(0, from + size))
          looked += earlier.length > 0 ? 1 : 0
          stored = withCalls(stored, group, earlier)
          from += size
        }
        for (const name of Object.keys(stored.traits))
          expect(sinceOf(stored)[name], name).toBe(plainly(list, name))
        expect(stored).toEqual(withCalls(NONE, list))
      }),
      { numRuns: 2000 },
    )
    expect(looked).toBeGreaterThan(500)
  })

  test('a call that is kept again changes nothing', () => {
    fc.assert(
      fc.property(calls, fc.nat(), (list, at) => {
        const stored = keepCalls(list)
        const again = list.slice(at % (list.length + 1))
        expect(withCalls(stored, again, seenBeside(stored, again, list))).toEqual(stored)
      }),
    )
  })
})

const call = (timeMs: number, plan: unknown, messageId = `m${timeMs}`): TraitCall => ({
  ...{ traits: { plan }, timeMs, messageId },
})
const since = (state: TraitState) => sinceOf(state).plan

test('what was said again and again counts from the first time, also when the first call is kept no longer', () => {
  const year = withCalls(withCalls(NONE, [call(1, 'gold')]), [call(300, 'gold')])
  expect(year.times.plan).toEqual([300, 'm300', 1])
  // A late call of before it, when the events of then are gone.
  expect(since(withCalls(year, [call(200, 'gold')], [call(200, 'gold'), call(300, 'gold')]))).toBe(1)
  expect(since(withCalls(year, [call(200, 'free')], [call(200, 'free'), call(300, 'gold')]))).toBe(300)
})

test('in order, the earlier calls are never asked for; late, only when they can matter', () => {
  const gold = keepCalls([call(10, 'gold'), call(20, 'gold')])
  expect(needsEarlier(NONE, [call(5, 'gold'), call(3, 'free')])).toBe(false)
  expect(needsEarlier(gold, [call(30, 'gold'), call(40, 'free')])).toBe(false)
  expect(needsEarlier(gold, [call(15, 'gold'), call(5, 'free')])).toBe(false)
  expect(needsEarlier(gold, [call(15, 'free')])).toBe(true)
  expect(needsEarlier(gold, [call(5, 'gold')])).toBe(true)
})

test('a late call that takes the place of another at its instant joins what was before and after it', () => {
  const parted = [call(1, 'gold', 'm1'), call(5, 'free', 'm2'), call(9, 'gold', 'm4')]
  const stored = keepCalls(parted)
  expect(since(stored)).toBe(9)
  const joining = call(5, 'gold', 'm3')
  expect(since(withCalls(stored, [joining], seenBeside(stored, [joining], [...parted, joining])))).toBe(1)
})

test('of a trait that was stated before this was kept, time counts from the newest call, and from then on goes on', () => {
  const old: TraitState = { traits: { plan: 'gold' }, times: { plan: [100, 'm100'] } }
  expect(since(old)).toBe(100)
  expect(since(withCalls(old, [call(200, 'gold')]))).toBe(100)
  expect(since(withCalls(old, [call(200, 'free')]))).toBe(200)
})
