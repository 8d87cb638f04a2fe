// What windows, durations, zones and dates of a rule mean, said plainly for the segment oracle: local days are compared as days.
import type { Window, Zone } from '../../schema/rule.ts'

/** After the window's start and up to its end; local days are compared as days. */
export function isIn(
  window: Exclude<Window, { k: 'since' }>,
  time: number,
  traits: Record<string, unknown>,
  atMs: number,
): boolean {
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

/** What a clock on the wall says then, as text: its day's name, and its time between the two. */
export function isOnClock(window: Window, time: number, traits: Record<string, unknown>): boolean {
  const { clock } = window
  if (clock === undefined) return true
  const zone = zoneOf(clock.tz ?? (window.k === 'calendar' ? window.tz : undefined), traits)
  const [day = '', now = ''] = wallClock(zone).format(time).toLowerCase().split(' ')
  const { dow, hours } = clock
  const isDay = dow === undefined || dow.some((one) => one === day)
  if (hours === undefined) return isDay
  const isOver = hours.from > hours.to
  return isDay && (isOver ? now >= hours.from || now < hours.to : now >= hours.from && now < hours.to)
}

/** `Wed 09:30`. */
const wallClock = remembered((timeZone: string) => {
  const options = { weekday: 'short', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const
  return new Intl.DateTimeFormat('en-GB', { timeZone, ...options })
})

/** Formats are slow to make. */
function remembered<T>(make: (zone: string) => T): (zone: string) => T {
  const made = new Map<string, T>()
  return (zone) => {
    const known = made.get(zone) ?? make(zone)
    made.set(zone, known)
    return known
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
  return dayClock(zone).format(ms).split('-').map(Number)
}

const dayClock = remembered(
  (timeZone: string) => new Intl.DateTimeFormat('en-CA', { timeZone, dateStyle: 'short' }),
)

export function zoneOf(tz: Zone | undefined, traits: Record<string, unknown>): string {
  return knownZone(String((typeof tz === 'object' ? traits[tz.trait] : tz) ?? 'UTC'))
}

const knownZone = remembered((timeZone: string) => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone
  } catch {
    return 'UTC'
  }
})

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
