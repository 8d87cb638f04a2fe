// Traits merge like sets: in any order, any grouping and however often.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mergeTraits, type TraitState, traitsOf } from '../../domain/traits.ts'

const NONE: TraitState = { traits: {}, times: {} }
const name = fc.constantFrom('plan', 'email', 'address', '__proto__', 'constructor', 'hasOwnProperty')
const value = fc.oneof(fc.constantFrom<unknown>('gold', 1, false, null), fc.dictionary(fc.string(), fc.nat()))

/** Identify calls with few different times, each with a message id of its own. */
const calls = fc
  .array(fc.tuple(fc.array(fc.tuple(name, value), { maxLength: 4 }), fc.integer({ min: 1, max: 3 })), {
    maxLength: 8,
  })
  .map((list) => list.map(([entries, time], i) => traitsOf(Object.fromEntries(entries), time, `m${i}`)))
const states = calls.map((list) => list.reduce(mergeTraits, NONE))

/** Calls dealt out to three people, so that no message is in two of them with different content. */
const three = calls.map((list): [TraitState, TraitState, TraitState] => {
  const deal = (hand: number) => list.filter((_, i) => i % 3 === hand).reduce(mergeTraits, NONE)
  return [deal(0), deal(1), deal(2)]
})

describe('merging traits', () => {
  test('does not depend on who is merged into whom', () => {
    fc.assert(
      fc.property(three, ([a, b]) => {
        expect(mergeTraits(a, b)).toEqual(mergeTraits(b, a))
      }),
    )
  })

  test('does not depend on which two are merged first', () => {
    fc.assert(
      fc.property(three, ([a, b, c]) => {
        expect(mergeTraits(mergeTraits(a, b), c)).toEqual(mergeTraits(a, mergeTraits(b, c)))
      }),
    )
  })

  test('changes nothing when it is done again', () => {
    fc.assert(
      fc.property(three, ([a, b]) => {
        expect(mergeTraits(a, a)).toEqual(a)
        const once = mergeTraits(a, b)
        expect(mergeTraits(once, b)).toEqual(once)
        expect(mergeTraits(NONE, a)).toEqual(a)
      }),
    )
  })

  test('gives the same in any order of arrival', () => {
    const shuffled = calls.chain((list) =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
    )
    fc.assert(
      fc.property(shuffled, ([list, order]) => {
        expect(order.reduce(mergeTraits, NONE)).toEqual(list.reduce(mergeTraits, NONE))
      }),
    )
  })

  test('leaves both sides as they were', () => {
    fc.assert(
      fc.property(states, states, (a, b) => {
        const before = structuredClone([a, b])
        mergeTraits(a, b)
        expect([a, b]).toEqual(before)
      }),
    )
  })
})

test('the newest event wins for each trait on its own; of the same time the larger message id', () => {
  const first = traitsOf({ plan: 'gold', city: 'Ulm' }, 10, 'm1')
  const older = traitsOf({ plan: 'free', name: 'Ada' }, 5, 'm9')
  const same = traitsOf({ plan: 'iron' }, 10, 'm2')
  expect(mergeTraits(first, older).traits).toEqual({ plan: 'gold', city: 'Ulm', name: 'Ada' })
  expect(mergeTraits(first, same).traits.plan).toBe('iron')
})

test('null unsets a trait, also for an older event that arrives later', () => {
  const set = traitsOf({ plan: 'gold' }, 10, 'm1')
  const unset = traitsOf({ plan: null }, 20, 'm2')
  const late = traitsOf({ plan: 'late' }, 15, 'm3')
  expect(mergeTraits(mergeTraits(set, unset), late).traits).toEqual({})
  expect(mergeTraits(unset, traitsOf({ plan: 'new' }, 30, 'm4')).traits).toEqual({ plan: 'new' })
})

test('a trait named __proto__ is a trait', () => {
  const hostile: Record<string, unknown> = JSON.parse('{"__proto__": {"admin": true}}')
  const merged = mergeTraits(NONE, traitsOf(hostile, 1, 'm'))
  expect(Object.hasOwn(merged.traits, '__proto__')).toBe(true)
  expect(Reflect.get(merged.traits, 'admin')).toBeUndefined()
  expect(Reflect.get({}, 'admin')).toBeUndefined()
})
