// The plain fold that says what the demo must end with: right on small cases, and the same in any order.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { foldShop } from '../../../cli/demo/fold.ts'
import type { SegmentMessage } from '../../../cli/demo/message.ts'
import { generatePeople } from '../../../cli/demo/people.ts'
import { withResends } from '../../../cli/demo/resends.ts'
import { generateShop } from '../../../cli/demo/shop.ts'

const AT = new Date('2026-11-21T06:00:00.000Z')
const MINUTE = 60_000
const DAY = 1_440 * MINUTE

let made = 0
function message(agoMs: number, rest: Partial<SegmentMessage> = {}): SegmentMessage {
  made += 1
  const timestamp = new Date(AT.getTime() - agoMs).toISOString()
  return {
    messageId: `m-${made}`,
    type: 'page',
    name: 'Home',
    anonymousId: 'a',
    context: {},
    timestamp,
    ...rest,
  }
}
const order = (agoMs: number, revenue: number) =>
  message(agoMs, { type: 'track', event: 'Order Completed', userId: 'u', properties: { revenue } })

describe('profiles', () => {
  test('are joined through any id two messages share', () => {
    const messages = [
      message(1, { anonymousId: 'a' }),
      message(2, { anonymousId: 'a', userId: 'u' }),
      message(3, { anonymousId: 'b', userId: 'u' }),
      message(4, { anonymousId: 'b' }),
      message(5, { anonymousId: 'c' }),
    ]
    expect(foldShop(messages, AT)).toMatchObject({ users: 2, known: 1 })
  })
  test('have a new session only after more than 30 minutes', () => {
    const messages = [message(61 * MINUTE + 1), message(31 * MINUTE), message(MINUTE)]
    expect(foldShop(messages, AT).sessions).toBe(2)
  })
})

describe('the segment', () => {
  test('takes more than 5 orders of more than $1,000 in the 30 days, not what lies on either edge', () => {
    const five = [1, 2, 3, 4, 5].map((day) => order(day * DAY, 200))
    expect(foldShop(five, AT).members).toEqual(new Set())
    expect(foldShop([...five, order(6 * DAY, 0)], AT).members).toEqual(new Set())
    expect(foldShop([...five, order(6 * DAY, 0.01)], AT).members).toEqual(new Set(['u']))
    expect(foldShop([...five, order(0, 0.01)], AT).members).toEqual(new Set(['u']))
    expect(foldShop([...five, order(30 * DAY, 0.01)], AT).members).toEqual(new Set())
    expect(foldShop([...five, order(-1, 0.01)], AT).members).toEqual(new Set())
  })
  test('gives each member what can reach them, by what they said last', () => {
    const orders = [1, 2, 3, 4, 5, 6].map((day) => order(day * DAY, 200))
    const says = (agoMs: number, traits: Record<string, unknown>) =>
      message(agoMs, { type: 'identify', userId: 'u', traits })
    expect(foldShop(orders, AT).deliveries).toEqual({ email: 0, push: 0, webhook: 1 })
    const both = [...orders, says(9, { email: 'a@example.com', pushToken: 't' })]
    expect(foldShop(both, AT).deliveries).toEqual({ email: 1, push: 1, webhook: 1 })
    expect(foldShop([says(8, { email: null }), ...both], AT).deliveries).toEqual({
      email: 0,
      push: 1,
      webhook: 1,
    })
  })
})

describe('of the whole shop', () => {
  const seed = 20261121
  const shop = generateShop({ seed, anchor: AT })
  const expected = foldShop(shop, AT)

  test('it finds the devoted buyers and nobody else', () => {
    const devoted = generatePeople(seed, 1_000).filter((person) => person.habit === 'devoted')
    expect(expected.members).toEqual(new Set(devoted.map((person) => person.userId)))
    expect(expected.members.size).toBeGreaterThanOrEqual(40)
    expect(expected.members.size).toBeLessThanOrEqual(90)
    expect(expected.known).toBe(1_000)
    const { email, push, webhook } = expected.deliveries
    expect(push).toBeLessThan(email)
    expect(email).toBeLessThan(webhook)
  })
  test('a rule without its window, its sum or its count would be found out', () => {
    const orders = Map.groupBy(
      shop.filter((one) => one.event === 'Order Completed'),
      (one) => one.userId,
    )
    const sizeOf = (keep: (recent: number, cents: number, all: number, allCents: number) => boolean) =>
      [...orders.values()].filter((own) => {
        const recent = own.filter((one) => Date.parse(one.timestamp) > AT.getTime() - 30 * DAY)
        const sum = (some: SegmentMessage[]) =>
          some.reduce((total, one) => total + Math.round(Number(one.properties?.revenue) * 100), 0)
        return keep(recent.length, sum(recent), own.length, sum(own))
      }).length
    expect(sizeOf((count, cents) => count > 5 && cents > 100_000)).toBe(expected.members.size)
    expect(sizeOf((count) => count > 5)).toBeGreaterThan(expected.members.size + 10)
    expect(sizeOf((_, cents) => cents > 100_000)).toBeGreaterThan(expected.members.size + 10)
    expect(sizeOf((_, __, count, cents) => count > 5 && cents > 100_000)).toBeGreaterThan(
      expected.members.size + 10,
    )
  })
  test('it says the same for as long as a demo may run', () => {
    for (const minutes of [-4, 5, 60, 119]) {
      expect(foldShop(shop, new Date(AT.getTime() + minutes * MINUTE))).toEqual(expected)
    }
  })
  test('about 1 % sent again, always the same, change nothing but the number sent', () => {
    const stream = withResends(shop, 0.01, seed)
    expect(withResends(shop, 0.01, seed).map((one) => one.messageId)).toEqual(
      stream.map((one) => one.messageId),
    )
    const again = stream.length - shop.length
    expect(again).toBeGreaterThan(shop.length * 0.007)
    expect(again).toBeLessThan(shop.length * 0.013)
    expect(foldShop(stream, AT)).toEqual({ ...expected, sent: stream.length })
    const firstAt = new Map<string, number>()
    stream.forEach((one, index) => {
      const first = firstAt.get(one.messageId)
      if (first === undefined) firstAt.set(one.messageId, index)
      // Those at the end come as late as they can.
      else if (index < stream.length - 100) expect(index - first).toBeGreaterThanOrEqual(200)
      if (first !== undefined) expect(stream[first]).toBe(one)
    })
  })
})

test('the order of the messages does not matter', () => {
  const small = generateShop({ seed: 7, anchor: AT, users: 40, targetEvents: 1_500 })
  const stream = withResends(small, 0.05, 7)
  const expected = foldShop(stream, AT)
  expect(expected.members.size).toBeGreaterThan(0)
  fc.assert(
    fc.property(fc.shuffledSubarray(stream, { minLength: stream.length }), (shuffled) => {
      expect(foldShop(shuffled, AT)).toEqual(expected)
    }),
    { numRuns: 25 },
  )
})
