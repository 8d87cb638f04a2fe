// What windows, durations, zones and dates of a rule mean, said plainly for the segment oracle: local days are compared as days.
import type { Window, Zone } from '../../schema/rule.ts'

/** After the window's start and up to its end; local days are compared as days. */
export function isIn(window: Window, time: number, traits: Record<string, unknown>, atMs: number): boolean {
  switch (window.k) {
    case 'lifetime':
      return true
    case 'absolute':
      return time > Date.parse(window.from) && time <= Date.parse(window.to)
    case 'rolling':
      return time > atMs - length(window.last)
    case 'between':
      return time > atMs - length(window.to) && time <= atMs - length(window.from)
    case 'calendar': {
      const zone = zoneOf(window.tz, traits)
      const unit = (ms: number) => unitNumber(localDay(ms, zone), window.unit, window.weekStart)
      const last = unit(atMs) + (window.offset ?? 0)
      return unit(time) <= last && unit(time) > last - (window.count ?? 1)
    }
  }
}

/** Days, weeks, months … since a fixed one. */
function unitNumber(day: number[], unit: string, weekStart = 'mon'): number {
  const [year = 0, month = 0, date = 0] = day
  const days = Math.round(Date.UTC(year, month - 1, date) / 86_400_000)
  if (unit === 'day') return days
  // 1970-01-01 was a Thursday.
  const shift = ['thu', 'fri', 'sat', 'sun', 'mon', 'tue', 'wed'].indexOf(weekStart)
  if (unit === 'week') return Math.floor((days - shift) / 7)
  if (unit === 'month') return year * 12 + month
  if (unit === 'quarter') return year * 4 + Math.ceil(month / 3)
  return year
}

export function localDay(ms: number, zone: string): number[] {
  const text = new Intl.DateTimeFormat('en-CA', { timeZone: zone, dateStyle: 'short' }).format(ms)
  return text.split('-').map(Number)
}

export function zoneOf(tz: Zone | undefined, traits: Record<string, unknown>): string {
  const name = typeof tz === 'object' ? traits[tz.trait] : tz
  try {
    return new Intl.DateTimeFormat('en', { timeZone: String(name ?? 'UTC') }).resolvedOptions().timeZone
  } catch {
    return 'UTC'
  }
}

export function instant(value: unknown): number | undefined {
  if (typeof value !== 'string' || !/^\d{4}-\d\d-\d\d(T.*(Z|[+-]\d\d:\d\d))?$/.test(value)) return undefined
  const ms = Date.parse(value)
  // JavaScript takes 30 February for 2 March.
  const isDay = new Date(Date.parse(value.slice(0, 10))).toISOString().startsWith(value.slice(0, 10))
  return Number.isNaN(ms) || !isDay ? undefined : ms
}

export function length(duration: string): number {
  const [, days, hours, minutes, seconds] =
    /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/.exec(duration) ?? []
  return (
    Number(days ?? 0) * 86_400_000 +
    Number(hours ?? 0) * 3_600_000 +
    Number(minutes ?? 0) * 60_000 +
    Number(seconds ?? 0) * 1000
  )
}
