// The local clock that a rule goes by: which zone it is for somebody, and whether an instant is on the wanted days of the week
// and in the wanted hours. An hour that a change of the clock repeats counts twice, one that it leaves out never. Pure.
import { type Clock, WEEKDAYS, type Zone } from '../../schema/rule.ts'
import { isZone, offsetAt } from './calendar.ts'
import { valueAt } from './conditions.ts'

/** Days from 0, a Monday, to 6; minutes of the day from the first up to, and without, the second, over midnight where it is smaller. */
export type PlanClock = { days: number[]; fromMinute: number; toMinute: number; tz?: Zone }

const DAY_MINUTES = 24 * 60

/** `tz` = the zone of the window, for a clock that says none. */
export function compileClock(
  { dow = [...WEEKDAYS], hours, tz: own }: Clock,
  tz: Zone | undefined,
): PlanClock {
  const zone = own ?? tz
  return {
    days: WEEKDAYS.flatMap((day, i) => (dow.includes(day) ? [i] : [])),
    fromMinute: hours === undefined ? 0 : minuteOf(hours.from),
    toMinute: hours === undefined ? DAY_MINUTES : minuteOf(hours.to),
    ...(zone === undefined ? {} : { tz: zone }),
  }
}

/** Of `09:30`. */
export function minuteOf(time: string): number {
  const [hours, minutes] = time.split(':')
  return Number(hours) * 60 + Number(minutes)
}

/** Says of instants (ms) whether they are on it, for somebody with these traits. */
export function onClock(clock: PlanClock, traits: Record<string, unknown>): (ms: number) => boolean {
  const { days, fromMinute, toMinute } = clock
  const zone = zoneOf(clock.tz, { traits })
  return (ms) => {
    const local = new Date(ms + offsetAt(ms, zone))
    const minute = local.getUTCHours() * 60 + local.getUTCMinutes()
    const isAfter = minute >= fromMinute
    const isBefore = minute < toMinute
    // Sunday is 0 to JavaScript.
    const isDay = days.includes((local.getUTCDay() + 6) % 7)
    return isDay && (fromMinute < toMinute ? isAfter && isBefore : isAfter || isBefore)
  }
}

/** UTC where none is said, and for whoever's trait names none. */
export function zoneOf(tz: Zone | undefined, { traits }: { traits: Record<string, unknown> }): string {
  if (tz === undefined) return 'UTC'
  const name = typeof tz === 'string' ? tz : valueAt(traits, tz.trait)
  return typeof name === 'string' && isZone(name) ? name : 'UTC'
}
