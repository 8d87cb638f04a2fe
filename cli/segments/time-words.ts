// Durations, windows and zones of a rule in words. Pure.
import type { Window, Zone } from '../../schema/rule.ts'

const UNITS = ['week', 'day', 'hour', 'minute', 'second']
const DURATION = /^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/

/** `30 days`, `1 day 2 hours`; what is no duration of ours stays as it is. */
export function durationWords(text: string): string {
  const parts = DURATION.exec(text)?.slice(1) ?? []
  const words = parts.flatMap((part, i) => (part === undefined ? [] : [`${Number(part)} ${unit(i, part)}`]))
  return words.length === 0 ? text : words.join(' ')
}

function unit(index: number, count: string): string {
  return `${UNITS[index] ?? ''}${Number(count) === 1 ? '' : 's'}`
}

/** `in the last 30 days`, `last month (Europe/Berlin)`, `ever`. */
export function windowWords(window: Window): string {
  return `${plainWords(window)}${clockWords(window.clock)}`
}

function clockWords(clock: Window['clock']): string {
  if (clock === undefined) return ''
  const days = clock.dow === undefined ? '' : ` on ${clock.dow.join(', ')}`
  const hours = clock.hours === undefined ? '' : ` from ${clock.hours.from} to ${clock.hours.to}`
  return `${days}${hours}${zoneWords(clock.tz)}`
}

function plainWords(window: Window): string {
  switch (window.k) {
    case 'rolling':
      return `in the last ${durationWords(window.last)}`
    case 'between':
      return `from ${durationWords(window.to)} to ${durationWords(window.from)} ago`
    case 'absolute':
      return `after ${window.from} up to ${window.to}`
    case 'lifetime':
      return 'ever'
    case 'since':
      return `since the ${window.anchor.pick} ${window.anchor.event || window.anchor.type}`
    case 'calendar':
      return `${calendarWords(window)}${zoneWords(window.tz)}`
  }
}

/** ` (Europe/Berlin)`; nothing for UTC, which goes without saying. */
export function zoneWords(zone: Zone | undefined): string {
  if (zone === undefined) return ''
  return typeof zone === 'string' ? ` (${zone})` : ` (zone of trait ${zone.trait})`
}

function calendarWords({ unit, offset = 0, count = 1 }: Extract<Window, { k: 'calendar' }>): string {
  const end = offset === 0 ? `this ${unit}` : offset === -1 ? `last ${unit}` : `${unit} ${-offset} back`
  return count === 1 ? `in ${end}` : `in the ${count} ${unit}s up to ${end}`
}
