// Times as clients write them.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseEventTime } from '../../domain/event-time.ts'

test('every time that JavaScript writes is read back', () => {
  const year = {
    min: new Date('0001-01-01T00:00:00Z'),
    max: new Date('9999-12-31T23:59:59.999Z'),
    noInvalidDate: true,
  }
  fc.assert(
    fc.property(fc.date(year), (date) => {
      expect(parseEventTime(date.toISOString())).toBe(date.getTime())
    }),
    { numRuns: 1000 },
  )
})

test('offsets, missing seconds and fine fractions are read', () => {
  const noon = Date.UTC(2026, 10, 21, 12)
  for (const text of [
    '2026-11-21T12:00:00Z',
    '2026-11-21T12:00Z',
    '2026-11-21T13:00:00+01:00',
    '2026-11-21T13:00:00+0100',
    '2026-11-21T13:00:00+01',
    '2026-11-21T06:30:00.000-05:30',
    '2026-11-21T12:00:00.000000001Z',
    '2026-11-21T12:00:00,0Z',
  ]) {
    expect(parseEventTime(text)).toBe(noon)
  }
  expect(parseEventTime('2026-11-21T12:00:00.123456Z')).toBe(noon + 123)
  expect(parseEventTime('2024-02-29T00:00:00Z')).toBe(Date.UTC(2024, 1, 29))
})

test('what is no such time is refused', () => {
  for (const text of [
    '',
    '2026-11-21',
    '2026-11-21 12:00:00Z',
    '2026-11-21T12:00:00',
    '2026-02-29T00:00:00Z',
    '2100-02-29T00:00:00Z',
    '2026-04-31T00:00:00Z',
    '2026-00-10T00:00:00Z',
    '2026-01-00T00:00:00Z',
    '2026-01-01T24:00:00Z',
    '2026-01-01T23:60:00Z',
    '2026-01-01T23:59:60Z',
    '2026-01-01T00:00:00+24:00',
    '+012026-01-01T00:00:00Z',
    `2026-01-01T00:00:00.${'0'.repeat(40)}Z`,
    '٢٠٢٦-01-01T00:00:00Z',
  ]) {
    expect(parseEventTime(text)).toBeUndefined()
  }
})
