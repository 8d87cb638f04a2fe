// Schedules of segments: cron patterns in a time zone. Pure: the clock is the caller's.
import { CronExpressionParser } from 'cron-parser'
import { fail } from '../../runtime/errors.ts'
import { isZone } from './calendar.ts'

/** When a segment is evaluated from scratch besides. */
export type SegmentSchedule = { cron: string; timeZone: string }

/** Nearer together a run through everybody would not be over before the next one. */
const LEAST_MINUTES = 15
const LOOKED_AT = 50

/** Throws `invalid_request` when the pattern or the zone is not one, or it comes round too soon. */
export function checkSchedule({ cron, timeZone }: SegmentSchedule, nowMs: number): void {
  if (!isZone(timeZone))
    throw fail('invalid_request', `timeZone is no IANA time zone: "${timeZone}"`, { field: 'timeZone' })
  if (cron.trim().split(/\s+/).length !== 5)
    throw wrong('has five fields: minute, hour, day of month, month, day of week')
  let times: number[]
  try {
    times = parse({ cron, timeZone }, nowMs)
      .take(LOOKED_AT)
      .map((time) => time.getTime())
  } catch {
    throw wrong('is no cron pattern, or comes never')
  }
  const least = Math.min(...times.slice(1).map((time, i) => time - (times[i] ?? 0)))
  if (least < LEAST_MINUTES * 60_000) throw wrong(`comes round in less than ${LEAST_MINUTES} minutes`)
}

const wrong = (why: string) => fail('invalid_request', `cron ${why}`, { field: 'cron' })

/** Whether an instant of the schedule lies behind `keptMs`, up to now. Of several that were missed one is made up for. */
export function isDue(schedule: SegmentSchedule, keptMs: number, nowMs: number): boolean {
  return parse(schedule, keptMs).next().getTime() <= nowMs
}

function parse({ cron, timeZone }: SegmentSchedule, currentMs: number) {
  return CronExpressionParser.parse(cron, { tz: timeZone, currentDate: new Date(currentMs) })
}
