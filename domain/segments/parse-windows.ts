// Reads which events a condition is about: their names, the filters on them, and the window they lie in. Every refusal names
// the path of the fault.
import { EVENT_TYPES } from '../../schema/event.ts'
import {
  CALENDAR_UNITS,
  type Clock,
  type PropertyFilter,
  RULE_LIMITS,
  WEEKDAYS,
  type Window,
} from '../../schema/rule.ts'
import { minuteOf } from './clock.ts'
import { parseDuration } from './durations.ts'
import {
  conditionAt,
  durationAt,
  fault,
  instantAt,
  type Json,
  knownKeys,
  listAt,
  objectAt,
  oneOf,
  optional,
  textAt,
  wholeAt,
  zoneAt,
} from './parse-values.ts'

/** The members of a condition that say which events. */
export const EVENTS = ['event', 'type', 'where']
export const PICKS = ['first', 'last'] as const

type Events = { event: string; type?: string; where?: PropertyFilter[] }

/** A page, screen or identify condition may leave out the name, which is kept as '': all of that type. */
export function eventsAt(node: Json, path: string): Events {
  const isNameless = node.event === undefined || node.event === ''
  const isWholeType = isNameless && node.type !== undefined && node.type !== 'track'
  return {
    event: isWholeType ? '' : textAt(node.event, `${path}.event`),
    ...optional<{ type: string; where: PropertyFilter[] }>(node, {
      type: (one) => oneOf(one, EVENT_TYPES, `${path}.type`),
      where: (one) => filtersAt(one, `${path}.where`),
    }),
  }
}

function filtersAt(input: unknown, path: string): PropertyFilter[] {
  if (!Array.isArray(input) || input.length > RULE_LIMITS.filters)
    throw fault(path, `expected a list of at most ${RULE_LIMITS.filters} filters`)
  return input.map((item, i) => {
    const at = `${path}[${i}]`
    const filter = objectAt(item, at)
    knownKeys(filter, ['prop', 'op', 'value'], at)
    return { prop: textAt(filter.prop, `${at}.prop`), ...conditionAt(filter, at) }
  })
}

const WINDOWS = ['rolling', 'between', 'calendar', 'absolute', 'lifetime', 'since'] as const

export function windowAt(input: unknown, path: string): Window {
  const window = objectAt(input, path)
  const plain = plainWindowAt(window, path)
  return window.clock === undefined ? plain : { ...plain, clock: clockAt(window.clock, `${path}.clock`) }
}

function plainWindowAt(window: Json, path: string): Window {
  const kind = oneOf(window.k, WINDOWS, `${path}.k`)
  switch (kind) {
    case 'rolling':
      knownKeys(window, ['k', 'last', 'clock'], path)
      return { k: kind, last: durationAt(window.last, `${path}.last`) }
    case 'between': {
      knownKeys(window, ['k', 'from', 'to', 'clock'], path)
      const from = durationAt(window.from, `${path}.from`)
      const to = durationAt(window.to, `${path}.to`)
      if ((parseDuration(from) ?? 0) >= (parseDuration(to) ?? 0))
        throw fault(`${path}.to`, 'must be longer ago than from')
      return { k: kind, from, to }
    }
    case 'calendar':
      knownKeys(window, ['k', 'unit', 'offset', 'count', 'tz', 'weekStart', 'clock'], path)
      return {
        k: kind,
        unit: oneOf(window.unit, CALENDAR_UNITS, `${path}.unit`),
        ...optional<Omit<Required<Extract<Window, { k: 'calendar' }>>, 'k' | 'unit' | 'clock'>>(window, {
          offset: (one) => wholeAt(one, `${path}.offset`, -120, 0),
          count: (one) => wholeAt(one, `${path}.count`, 1, 120),
          tz: (one) => zoneAt(one, `${path}.tz`),
          weekStart: (one) => oneOf(one, WEEKDAYS, `${path}.weekStart`),
        }),
      }
    case 'absolute': {
      knownKeys(window, ['k', 'from', 'to', 'clock'], path)
      const from = instantAt(window.from, `${path}.from`)
      const to = instantAt(window.to, `${path}.to`)
      if (Date.parse(from) >= Date.parse(to)) throw fault(`${path}.to`, 'must be after from')
      return { k: kind, from, to }
    }
    case 'lifetime':
      knownKeys(window, ['k', 'clock'], path)
      return { k: kind }
    case 'since': {
      knownKeys(window, ['k', 'anchor', 'clock'], path)
      const at = `${path}.anchor`
      const anchor = objectAt(window.anchor, at)
      knownKeys(anchor, [...EVENTS, 'pick'], at)
      return { k: kind, anchor: { ...eventsAt(anchor, at), pick: oneOf(anchor.pick, PICKS, `${at}.pick`) } }
    }
  }
}

function clockAt(input: unknown, path: string): Clock {
  const clock = objectAt(input, path)
  knownKeys(clock, ['dow', 'hours', 'tz'], path)
  if (clock.dow === undefined && clock.hours === undefined)
    throw fault(path, 'expected "dow", "hours" or both')
  return optional<Required<Clock>>(clock, {
    dow: (one) => daysAt(one, `${path}.dow`),
    hours: (one) => hoursAt(one, `${path}.hours`),
    tz: (one) => zoneAt(one, `${path}.tz`),
  })
}

function daysAt(input: unknown, path: string): NonNullable<Clock['dow']> {
  const days = listAt(input, path, WEEKDAYS.length, (one, at) => oneOf(one, WEEKDAYS, at))
  const twice = days.findIndex((day, i) => days.indexOf(day) < i)
  if (twice !== -1) throw fault(`${path}[${twice}]`, `names "${days[twice]}" again`)
  return days
}

function hoursAt(input: unknown, path: string): NonNullable<Clock['hours']> {
  const hours = objectAt(input, path)
  knownKeys(hours, ['from', 'to'], path)
  const from = timeOfDayAt(hours.from, `${path}.from`)
  const to = timeOfDayAt(hours.to, `${path}.to`)
  if (from === '24:00') throw fault(`${path}.from`, 'is the end of a day; did you mean "00:00"?')
  if (minuteOf(from) === minuteOf(to))
    throw fault(`${path}.to`, 'is the same as from; a whole day is from "00:00" to "24:00"')
  return { from, to }
}

function timeOfDayAt(input: unknown, path: string): string {
  if (typeof input === 'string' && /^(?:(?:[01]\d|2[0-3]):[0-5]\d|24:00)$/.test(input)) return input
  const isHour = typeof input === 'number' && Number.isInteger(input) && input >= 0 && input <= 24
  const meant = isHour ? `; did you mean "${String(input).padStart(2, '0')}:00"?` : ''
  throw fault(path, `expected a time of the day such as "09:30"${meant}`)
}
