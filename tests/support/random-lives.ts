// Random people for the segment oracle: times fall on a grid of hours and one millisecond beside it, so that many events
// lie exactly on the edge of a window.
import fc from 'fast-check'
import type { Scalar } from '../../schema/rule.ts'
import { addresses, contactEvent } from './random-contact.ts'
import type { OracleEvent, OracleStatement } from './segment-oracle.ts'

export const HOUR = 3_600_000
export const START = Date.UTC(2026, 10, 18, 12)

/** Days on which clocks are changed, one by half an hour, two at midnight; one that Apia left out; a leap day. */
export const DAYS = [
  START,
  Date.UTC(2026, 9, 25, 1),
  Date.UTC(2026, 3, 4, 15),
  Date.UTC(2018, 10, 4, 3),
  Date.UTC(2018, 1, 18, 2),
  Date.UTC(2011, 11, 30, 10),
  Date.UTC(2028, 1, 29, 12),
]

/** Traits, properties and the values of rules are of these. */
export const texts = ['a', 'B', 'ab', 'Ä', 'z🎉', '🎉', '', 'a.b', "o'x"]

/** Lists that rules ask about, and those that somebody is in. */
export const LISTS = ['fair', 'guests', 'staff']
export const lists: fc.Arbitrary<string[]> = fc.subarray(LISTS)

/** From a day before START to a few minutes after it, often on the grid or a millisecond beside it. */
const eventTime = fc
  .record({ hours: fc.integer({ min: -24, max: 0 }), beside: fc.constantFrom(0, 0, -1, 1, 240_000) })
  .map(({ hours, beside }) => START + hours * HOUR + beside)

const shopEvent: fc.Arbitrary<OracleEvent> = fc
  .record({
    call: fc.constantFrom(
      { type: 'track', name: 'Order Completed' },
      { type: 'track', name: 'Order Completed' },
      { type: 'track', name: 'Viewed' },
      { type: 'page', name: 'Home' },
    ),
    time: eventTime,
    cents: fc.constantFrom(0, 500, 1000, 1250, 1999, 3000),
    currency: fc.constantFrom('USD', 'USD', 'EUR'),
    properties: fc.record(
      {
        sku: fc.oneof(fc.constantFrom(...texts), fc.constant(null), fc.integer({ min: 0, max: 2 })),
        qty: fc.oneof(fc.constantFrom<unknown>(0, 1, 2, 2.5, 10, -3, '2', null, true)),
        tags: fc.array(fc.constantFrom<Scalar>('a', 'B', 1), { maxLength: 3 }),
      },
      { requiredKeys: [] },
    ),
  })
  .map(({ call, time, cents, currency, properties }) => ({
    ...call,
    time,
    ...(call.name === 'Order Completed' ? { value: cents, currency } : {}),
    properties,
  }))

export const life: fc.Arbitrary<OracleEvent[]> = fc
  .tuple(
    fc.array(shopEvent, { minLength: 1, maxLength: 10 }),
    fc.array(contactEvent(eventTime), { maxLength: 5 }),
  )
  .map((events) => events.flat())

export const traits = fc.record(
  {
    plan: fc.constantFrom(...texts),
    age: fc.constantFrom<unknown>(0, 1, 2.5, 10, '10'),
    tags: fc.array(fc.constantFrom<Scalar>('a', 'B', 1), { maxLength: 3 }),
    vip: fc.boolean(),
    born: fc.constantFrom('1990-11-18', '2000-02-29', '2026-11-19', '1985-11-17', 'soon', '2026-02-30'),
    due: fc.constantFrom(
      new Date(START + 3 * HOUR).toISOString(),
      new Date(START - 2 * HOUR).toISOString(),
      '2025-11-18T23:30:00+01:00',
      '2026-11-19',
    ),
    zone: fc.constantFrom('Asia/Kolkata', 'America/New_York', 'Nowhere/Land'),
    home: fc.constantFrom(
      { lat: 52.4, lon: 13.06 },
      { lat: 52.39, lon: 13.06 },
      { lat: 0.1, lon: -179.8 },
      { lat: 'x', lon: 1 },
    ),
    country: fc.constantFrom('jp', 'FR', 'DE', 7),
    ...addresses,
  },
  { requiredKeys: [] },
)

/** What somebody says of themselves after that, often the same again, in the order in which it arrives. */
export const statements: fc.Arbitrary<OracleStatement[]> = fc.array(
  fc.record({
    time: fc
      .record({ hours: fc.integer({ min: -40, max: 0 }), beside: fc.constantFrom(0, 0, -1, 1, 240_000) })
      .map(({ hours, beside }) => START + hours * HOUR + beside),
    traits: fc.record(
      {
        tier: fc.constantFrom<unknown>('a', 'a', 'a', 'B', 1, null),
        vip: fc.constantFrom<unknown>(true, true, false, null),
        seat: fc.constantFrom<unknown>({ row: 'a', place: 1 }, { row: 'a', place: 1 }, { row: 'a' }, 'a'),
      },
      { requiredKeys: [] },
    ),
  }),
  { maxLength: 6 },
)
