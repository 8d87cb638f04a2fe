// Local days of a time zone: where they begin, with their 23 or 25 hours. The beginnings are those of Postgres'
// date_trunc(unit, time, zone). Pure.
import type { CALENDAR_UNITS, WEEKDAYS } from '../../schema/rule.ts'

export type CalendarUnit = (typeof CALENDAR_UNITS)[number]
export type Weekday = (typeof WEEKDAYS)[number]
/** `month` from 1. */
export type LocalDate = { year: number; month: number; day: number }

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000
/** Hours of a zone that are remembered: its offset changes on a quarter of an hour at the finest, and hardly ever. */
const REMEMBERED = 4096

type ZoneClock = { format: Intl.DateTimeFormat; offsets: Map<number, number> }
const zones = new Map<string, ZoneClock>()

/** Whether this is an IANA zone that is known here. */
export function isZone(name: string): boolean {
  return clockOf(name) !== undefined
}

/** Names come from traits too: who writes nonsense must neither fill the memory nor push out what is needed. */
function clockOf(name: string): ZoneClock | undefined {
  const known = zones.get(name)
  if (known !== undefined) return known
  try {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      hourCycle: 'h23',
      ...{ year: 'numeric', month: 'numeric', day: 'numeric', era: 'short' },
      ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
    })
    const clock: ZoneClock = { format, offsets: new Map() }
    if (zones.size >= REMEMBERED) zones.clear()
    zones.set(name, clock)
    return clock
  } catch {
    return undefined
  }
}

/** Local time minus UTC at an instant, ms. UTC for a zone that is not known. */
export function offsetAt(ms: number, zone: string): number {
  if (zone === 'UTC') return 0
  const clock = clockOf(zone)
  if (clock === undefined) return 0
  const slot = Math.floor(ms / (HOUR_MS / 4))
  const known = clock.offsets.get(slot)
  if (known !== undefined) return known
  const parts: Record<string, string> = {}
  const start = slot * (HOUR_MS / 4)
  for (const { type, value } of clock.format.formatToParts(start)) parts[type] = value
  const year = parts.era === 'BC' ? 1 - Number(parts.year) : Number(parts.year)
  const local = utc(year, Number(parts.month), Number(parts.day))
  const offset =
    local + Number(parts.hour) * HOUR_MS + Number(parts.minute) * 60_000 + Number(parts.second) * 1000 - start
  if (clock.offsets.size >= REMEMBERED) clock.offsets.clear()
  clock.offsets.set(slot, offset)
  return offset
}

export function localDate(ms: number, zone: string): LocalDate {
  const date = new Date(ms + offsetAt(ms, zone))
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() }
}

/**
 * The first instant of a local day. Where the clock is set forward over midnight it is the instant of the change, where it
 * is set back over it the second midnight, as Postgres has it.
 */
export function startOfDay({ year, month, day }: LocalDate, zone: string): number {
  const local = utc(year, month, day)
  const before = offsetAt(local - DAY_MS, zone)
  const after = offsetAt(local + DAY_MS, zone)
  if (before === after) return local - before
  const later = local - after
  return offsetAt(later, zone) === after ? later : local - before
}

/** The first instant of the unit that an instant is in, `by` units on. */
export function startOfUnit(
  ms: number,
  unit: CalendarUnit,
  options: { zone: string; by?: number; weekStart?: Weekday },
): number {
  const { zone, by = 0, weekStart = 'mon' } = options
  const { year, month, day } = localDate(ms, zone)
  return startOfDay(firstDay({ year, month, day }, unit, by, weekStart), zone)
}

const WEEK: Weekday[] = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

function firstDay(date: LocalDate, unit: CalendarUnit, by: number, weekStart: Weekday): LocalDate {
  const { year, month, day } = date
  switch (unit) {
    case 'day':
      return normal(year, month, day + by)
    case 'week': {
      const weekday = new Date(utc(year, month, day)).getUTCDay()
      const back = (weekday - WEEK.indexOf(weekStart) + 7) % 7
      return normal(year, month, day - back + 7 * by)
    }
    case 'month':
      return normal(year, month + by, 1)
    case 'quarter':
      return normal(year, month - ((month - 1) % 3) + 3 * by, 1)
    case 'year':
      return normal(year + by, 1, 1)
  }
}

/** The date with months and days carried over. */
export function normal(year: number, month: number, day: number): LocalDate {
  const date = new Date(utc(year, month, day))
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() }
}

export function isLeapYear(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
}

/** As Date.UTC, which moves the years 0 to 99 into the 20th century. */
function utc(year: number, month: number, day: number): number {
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  return date.getTime()
}
