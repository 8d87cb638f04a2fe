// The demo's generated shop: the same every time, and with the guarantees that its expected counts rest on.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { SegmentMessage } from '../../../cli/demo/message.ts'
import { generatePeople } from '../../../cli/demo/people.ts'
import { generateShop } from '../../../cli/demo/shop.ts'
import { checkEvent } from '../../../domain/validate.ts'

const ANCHOR = new Date('2026-11-21T06:00:00.000Z')
const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

const shop = generateShop({ seed: 20261121, anchor: ANCHOR })
const timeOf = (message: SegmentMessage) => Date.parse(message.timestamp)
const countOf = (event: string) => shop.filter((message) => message.event === event).length

describe('the same seed', () => {
  test('and anchor give the same bytes', () => {
    const again = generateShop({ seed: 20261121, anchor: ANCHOR })
    expect(JSON.stringify(again) === JSON.stringify(shop)).toBe(true)
  })
  test('and another anchor only shift the times', () => {
    const byMs = 3 * DAY + 12_345_678
    const later = generateShop({ seed: 20261121, anchor: new Date(ANCHOR.getTime() + byMs) })
    const shiftedBack = JSON.stringify(later).replaceAll(/\d{4}-\d\d-\d\dT[\d:.]{12}Z/g, (time) =>
      new Date(Date.parse(time) - byMs).toISOString(),
    )
    expect(shiftedBack === JSON.stringify(shop)).toBe(true)
  })
})

test('another seed gives another shop', () => {
  const other = generateShop({ seed: 1, anchor: ANCHOR })
  expect(other.slice(0, 50).map((message) => message.event)).not.toEqual(
    shop.slice(0, 50).map((message) => message.event),
  )
})

describe('the shop holds', () => {
  test('about 50,000 messages, each with an id of its own, of 1,000 users', () => {
    expect(shop.length).toBeGreaterThanOrEqual(48_000)
    expect(shop.length).toBeLessThanOrEqual(52_000)
    expect(new Set(shop.map((message) => message.messageId)).size).toBe(shop.length)
    expect(new Set(shop.flatMap((message) => message.userId ?? [])).size).toBe(1_000)
  })
  test('devices that never log in, about 8 % of them', () => {
    const all = new Set(shop.map((message) => message.anonymousId))
    const known = new Set(shop.filter((message) => message.userId).map((message) => message.anonymousId))
    const share = (all.size - known.size) / all.size
    expect(share).toBeGreaterThan(0.05)
    expect(share).toBeLessThan(0.12)
  })
  test('every kind of message a shop sends', () => {
    for (const type of ['identify', 'page', 'screen', 'track', 'group']) {
      expect(shop.some((message) => message.type === type)).toBe(true)
    }
    for (const event of [
      'Products Searched',
      'Product Viewed',
      'Product Added',
      'Product Removed',
      'Cart Viewed',
      'Checkout Started',
      'Order Completed',
    ]) {
      expect(countOf(event)).toBeGreaterThan(100)
    }
    expect(countOf('Checkout Started')).toBe(countOf('Order Completed'))
  })
  test('its busiest hours in the evening of the shop, whose clock says 22:00 at the anchor', () => {
    const shopHour = (message: SegmentMessage) =>
      Math.floor((timeOf(message) - ANCHOR.getTime() + 22 * HOUR + 60 * DAY) / HOUR) % 24
    const evening = shop.filter((message) => shopHour(message) >= 17 && shopHour(message) < 23).length
    const night = shop.filter((message) => shopHour(message) < 6).length
    expect(evening).toBeGreaterThan(shop.length * 0.4)
    expect(night).toBeLessThan(shop.length * 0.12)
  })
})

describe('identities', () => {
  const byDevice = Map.groupBy(shop, (message) => message.anonymousId)

  test('a device is one person’s, who stays logged in once they are', () => {
    for (const messages of byDevice.values()) {
      const users = messages.map((message) => message.userId)
      const from = users.findIndex((userId) => userId !== undefined)
      if (from >= 0) expect(new Set(users.slice(from)).size).toBe(1)
    }
  })
  test('somebody is anonymous on a device until an identify that carries both ids', () => {
    for (const messages of byDevice.values()) {
      const first = messages.findIndex((message) => message.userId !== undefined)
      expect(first).not.toBe(0)
      if (first > 0) expect(messages[first]?.type).toBe('identify')
    }
  })
  test('an identify always tells the same person’s same address and token', () => {
    const told = Map.groupBy(
      shop.filter((message) => message.type === 'identify'),
      (message) => message.userId,
    )
    for (const identifies of told.values()) {
      expect(new Set(identifies.map((message) => JSON.stringify(message.traits))).size).toBe(1)
    }
    const traits = [...told.values()].map(([first]) => first?.traits ?? {})
    expect(new Set(traits.flatMap(({ email }) => email ?? [])).size).toBeGreaterThan(900)
    expect(traits.filter(({ email }) => email === undefined).length).toBeGreaterThan(30)
    expect(traits.filter(({ pushToken }) => pushToken === undefined).length).toBeGreaterThan(150)
  })
})

/** The times of one person over all devices; devices that stay anonymous are joined by the people list. */
function timesByPerson(seed: number, messages: SegmentMessage[], users: number): number[][] {
  const owner = new Map(
    generatePeople(seed, users).flatMap(({ userId, devices }) =>
      devices.map((device) => [device.anonymousId, userId]),
    ),
  )
  const groups = Map.groupBy(messages, (message) => owner.get(message.anonymousId))
  expect(groups.has(undefined)).toBe(false)
  return [...groups.values()].map((group) => group.map(timeOf))
}

describe('times', () => {
  test('of any seed keep away from what counts depend on', () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer({ min: 31, max: 90 }), (seed, days) => {
        const messages = generateShop({ seed, anchor: ANCHOR, users: 60, days, targetEvents: 3_000 })
        const end = ANCHOR.getTime()
        let before = 0
        for (const time of messages.map(timeOf)) {
          expect(time).toBeGreaterThanOrEqual(before)
          before = time
          expect(time).toBeGreaterThanOrEqual(end - days * DAY)
          expect(time).toBeLessThanOrEqual(end - 5 * MINUTE)
          expect(Math.abs(time - (end - 30 * DAY))).toBeGreaterThanOrEqual(2 * HOUR)
        }
        for (const times of timesByPerson(seed, messages, 60)) {
          times.slice(1).forEach((time, index) => {
            const gap = time - (times[index] ?? 0)
            expect(gap > 0 && (gap < 20 * MINUTE || gap > 45 * MINUTE)).toBe(true)
          })
        }
      }),
      { numRuns: 15 },
    )
  })
  test('make visits of 3 to 15 messages', () => {
    for (const times of timesByPerson(20261121, shop, 1_000)) {
      const starts = times.flatMap((time, index) => {
        const before = times[index - 1]
        return before === undefined || time - before > 30 * MINUTE ? [index] : []
      })
      starts.forEach((start, index) => {
        const length = (starts[index + 1] ?? times.length) - start
        expect(length).toBeGreaterThanOrEqual(3)
        expect(length).toBeLessThanOrEqual(15)
      })
    }
  })
  test('that have no room for what must happen are refused', () => {
    expect(() => generateShop({ seed: 1, anchor: ANCHOR, users: 1, targetEvents: 100_000 })).toThrow(
      /no room for another visit/,
    )
  })
})

describe('messages', () => {
  test('are what the collector accepts', () => {
    const limits = {
      pathType: undefined,
      oldestMs: ANCHOR.getTime() - 61 * DAY,
      maxEventBytes: 32_768,
      requestBytes: 500_000,
      checkStrings: true,
    }
    const issues = shop.flatMap(
      (message) => checkEvent(structuredClone(message), limits, { checkStrings: true, chars: 0 }) ?? [],
    )
    expect(issues).toEqual([])
  })
  test('have the fields of Segment’s spec for their type', () => {
    for (const message of shop) {
      expect(message.messageId).toMatch(/^demo-20261121-\d+$/)
      expect(message.timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      expect(message.anonymousId).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
      expect(Object.keys(message.context)).toEqual(expect.arrayContaining(['library', 'userAgent', 'locale']))
      expect(message.event !== undefined).toBe(message.type === 'track')
      expect(message.name !== undefined).toBe(message.type === 'page' || message.type === 'screen')
      expect(message.groupId !== undefined).toBe(message.type === 'group')
      expect(message.traits !== undefined).toBe(message.type === 'identify' || message.type === 'group')
      if (message.type === 'page') {
        expect(message.properties).toMatchObject({ path: expect.any(String), url: expect.any(String) })
      }
    }
  })
  test('of an order have a number of their own and add up in cents', () => {
    const cents = (amount: unknown) => {
      expect(String(amount)).toMatch(/^\d+(\.\d{1,2})?$/)
      return Math.round(Number(amount) * 100)
    }
    const orders = shop.filter((message) => message.event === 'Order Completed')
    expect(new Set(orders.map((message) => message.properties?.order_id)).size).toBe(orders.length)
    for (const { properties = {}, userId } of orders) {
      expect(userId).toBeDefined()
      expect(properties.currency).toBe('USD')
      const products = Array.isArray(properties.products) ? properties.products : []
      expect(products.length).toBeGreaterThan(0)
      const sum = products.reduce((total, { price, quantity }) => total + cents(price) * quantity, 0)
      expect(cents(properties.revenue)).toBe(sum)
      expect(cents(properties.total)).toBe(sum + cents(properties.shipping))
    }
  })
})
