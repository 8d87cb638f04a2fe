// Schedules of segments: what is refused, and when they are due, also where clocks are set.
import { expect, test } from 'vitest'
import { checkSchedule, isDue } from '../../../domain/segments/schedule.ts'

const NOW = Date.parse('2026-11-29T09:00:00Z')
const six = { cron: '0 6 * * *', timeZone: 'Europe/Berlin' }

test('a pattern of five fields in a zone that is known is taken', () => {
  for (const cron of ['0 6 * * *', '*/15 * * * *', '30 2 1 * *', '0 0 29 2 *', '0 8 * * MON-FRI'])
    expect(() => checkSchedule({ ...six, cron }, NOW)).not.toThrow()
})

test.each([
  ['0 0 6 * * *', 'cron has five fields'],
  ['@daily', 'cron has five fields'],
  ['0 25 * * *', 'cron is no cron pattern'],
  ['0 0 30 2 *', 'cron is no cron pattern, or comes never'],
  ['*/5 * * * *', 'cron comes round in less than 15 minutes'],
  ['0,10 6 * * *', 'cron comes round in less than 15 minutes'],
])('the pattern %s is refused, with the reason', (cron, reason) => {
  expect(() => checkSchedule({ ...six, cron }, NOW)).toThrow(reason)
})

test('a zone that nobody knows is refused', () => {
  expect(() => checkSchedule({ ...six, timeZone: 'Europe/Atlantis' }, NOW)).toThrow('no IANA time zone')
})

test('it is due from its instant on, by the clock of its zone, and once however many were missed', () => {
  const winter = Date.parse('2026-11-29T05:00:00Z')
  expect(isDue(six, winter - 3_600_000, winter - 1)).toBe(false)
  expect(isDue(six, winter - 3_600_000, winter)).toBe(true)
  expect(isDue(six, winter, winter + 3_600_000)).toBe(false)
  expect(isDue(six, winter - 10 * 86_400_000, winter + 1)).toBe(true)
  const summer = Date.parse('2026-07-01T04:00:00Z')
  expect([isDue(six, summer - 1000, summer - 1), isDue(six, summer - 1000, summer)]).toEqual([false, true])
})

test('a time of day that a set clock leaves out comes all the same that day', () => {
  const half = { cron: '30 2 * * *', timeZone: 'Europe/Berlin' }
  const from = Date.parse('2026-03-28T12:00:00Z')
  expect(isDue(half, from, Date.parse('2026-03-29T12:00:00Z'))).toBe(true)
})
