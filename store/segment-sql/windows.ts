// Which times a window of a rule has, as a condition on the event `e` seen from the instant `p.at`; durations, and the zones
// that calendar windows and anniversaries go by. Postgres reads durations, and has its own time zones.
import { type Clock, WEEKDAYS, type Window, type Zone } from '../../schema/rule.ts'
import { textOf } from './conditions.ts'
import { type Fragment, type Scope, unsupported } from './scope.ts'
import { traitAt } from './trait-values.ts'

/** A fixed duration as an interval of seconds: days of 86,400, whatever the zone of the session. */
export function lengthOf({ sql }: Scope, duration: string): Fragment {
  return sql`(extract(epoch from ${duration}::interval)::double precision * interval '1 second')`
}

/** What is asked of an event besides: the condition on `e` of an event name, as events.ts writes it. */
type IsOne = (events: Extract<Window, { k: 'since' }>['anchor']) => Fragment

/** Together with `e.time <= p.at`, which holds of every event that is asked for. */
export function isInWindow(scope: Scope, window: Window, isOne: IsOne): Fragment {
  const { sql } = scope
  const { clock } = window
  const times = isInTimes(scope, window, isOne)
  if (clock === undefined) return times
  return sql`(${times} and ${isOnClock(scope, clock, clock.tz ?? (window.k === 'calendar' ? window.tz : undefined))})`
}

/** By the local clock; hours that go over midnight go with the day that they are in. */
function isOnClock(scope: Scope, { dow, hours }: Clock, zone: Zone | undefined): Fragment {
  const { sql } = scope
  const local = sql`(e.time at time zone ${zoneOf(scope, zone)})`
  const day =
    dow === undefined
      ? sql`true`
      : sql`extract(isodow from ${local}) in ${sql(dow.map((one) => WEEKDAYS.indexOf(one) + 1))}`
  if (hours === undefined) return day
  const minute = sql`(extract(hour from ${local})::int * 60 + extract(minute from ${local})::int)`
  const [from, to] = [hours.from, hours.to].map((time) => {
    const [hour, past] = time.split(':').map(Number)
    return (hour ?? 0) * 60 + (past ?? 0)
  })
  const word = (from ?? 0) < (to ?? 0) ? sql`and` : sql`or`
  return sql`${day} and (${minute} >= ${from ?? 0}::int ${word} ${minute} < ${to ?? 0}::int)`
}

function isInTimes(scope: Scope, window: Window, isOne: IsOne): Fragment {
  const { sql } = scope
  switch (window.k) {
    case 'lifetime':
      return sql`true`
    case 'rolling':
      return sql`e.time > p.at - ${lengthOf(scope, window.last)}`
    case 'between':
      return sql`e.time > p.at - ${lengthOf(scope, window.to)} and e.time <= p.at - ${lengthOf(scope, window.from)}`
    case 'absolute':
      return sql`e.time > ${instant(scope, window.from)} and e.time <= ${instant(scope, window.to)}`
    case 'calendar': {
      const { offset = 0, count = 1 } = window
      return sql`e.time >= ${unitStart(scope, window, offset - count + 1)} and e.time < ${unitStart(scope, window, offset + 1)}`
    }
    case 'since': {
      // The inner `e` is the anchor.
      const time = window.anchor.pick === 'first' ? sql`min(e.time)` : sql`max(e.time)`
      return sql`e.time > (select ${time} from events e where ${isOne(window.anchor)})`
    }
  }
}

/** An instant that the rule names. */
export function instant({ sql }: Scope, text: string): Fragment {
  return sql`at_ms(${Date.parse(text)}::bigint)`
}

type Calendar = Extract<Window, { k: 'calendar' }>

/** Where the unit begins that is `by` after the one of `p.at`: at the first midnight of its first local day. */
function unitStart(scope: Scope, window: Calendar, by: number): Fragment {
  const { sql } = scope
  const zone = zoneOf(scope, window.tz)
  return sql`(${firstDay(scope, window, sql`(p.at at time zone ${zone})::date`, by)}::timestamp at time zone ${zone})`
}

function firstDay(
  { sql }: Scope,
  { unit, weekStart = 'mon' }: Calendar,
  today: Fragment,
  by: number,
): Fragment {
  switch (unit) {
    case 'day':
      return sql`(${today} + ${by}::int)`
    case 'week': {
      // isodow counts from 1 = Monday, as WEEKDAYS does from 0.
      const start = WEEKDAYS.indexOf(weekStart) + 1
      return sql`(${today} - (extract(isodow from ${today})::int - ${start}::int + 7) % 7 + ${7 * by}::int)`
    }
    case 'month':
      return sql`(date_trunc('month', ${today}::timestamp) + ${by}::int * interval '1 month')`
    case 'quarter':
      return sql`(date_trunc('quarter', ${today}::timestamp) + ${3 * by}::int * interval '1 month')`
    case 'year':
      return sql`(date_trunc('year', ${today}::timestamp) + ${by}::int * interval '1 year')`
  }
}

/** UTC where none is said, and for whoever's trait names no zone that Postgres knows. */
export function zoneOf(scope: Scope, zone: Zone | undefined): Fragment {
  const { sql, zoneColumns } = scope
  if (zone === undefined) return sql`'UTC'`
  if (typeof zone === 'object') {
    const column = zoneColumns.get(zone.trait) ?? sql`${sql(`zone_${zoneColumns.size + 1}`)}`
    zoneColumns.set(zone.trait, column)
    return sql`p.${column}`
  }
  // An offset has the other sign in Postgres' POSIX zones.
  if (!/^[A-Za-z]/.test(zone)) throw unsupported(`the zone ${zone}`)
  return sql`${zone}::text`
}

/** Columns of `p`: the zones that traits name, by the names that Postgres has, in any case of letters. */
export function zoneColumns({ sql, zoneColumns }: Scope): Fragment {
  return [...zoneColumns].reduce(
    (before, [trait, column]) => sql`${before},
      coalesce((
        select z.name from zone_names z where lower(z.name) = lower(${textOf(sql, traitAt(sql, trait))}) limit 1
      ), 'UTC') as ${column}`,
    sql``,
  )
}
