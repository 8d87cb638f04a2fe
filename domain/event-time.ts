// Times as clients write them: RFC 3339 with an offset, nothing else. JavaScript's own parser turns 30 February into
// 1 March and reads a time without offset in the zone of the machine; this one refuses both. Pure.

const RFC3339 = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z|[+-]\d\d(?::?\d\d)?)$/

const DAYS_IN_MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** Milliseconds since the epoch of a time like `2026-11-21T05:47:00.123+01:00`; undefined for anything else. */
export function parseEventTime(text: string): number | undefined {
  if (text.length > 40) return undefined
  const parts = RFC3339.exec(text)
  if (parts === null) return undefined
  const year = Number(parts[1])
  const month = Number(parts[2])
  const day = Number(parts[3])
  const hour = Number(parts[4])
  const minute = Number(parts[5])
  const second = Number(parts[6] ?? 0)
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 59) return undefined
  if (day > daysIn(year, month)) return undefined
  const offsetMs = parseOffset(parts[8] ?? 'Z')
  if (offsetMs === undefined) return undefined
  const fraction = parts[7]
  const ms = fraction === undefined ? 0 : Math.floor(Number(`0.${fraction}`) * 1000 + 1e-6)
  return utc(year, month, day) + hour * 3_600_000 + minute * 60_000 + second * 1000 + ms - offsetMs
}

const RECENT = 64
const recentMs: number[] = Array.from({ length: RECENT }, () => Number.NaN)
const recentText: string[] = Array.from({ length: RECENT }, () => '')

/** As Date.toISOString, remembering recent answers: neighbours often share a time, and every event needs several texts. */
export function isoTime(ms: number): string {
  const slot = Math.abs(ms) % RECENT
  if (recentMs[slot] === ms) return recentText[slot] ?? ''
  const text = new Date(ms).toISOString()
  recentMs[slot] = ms
  recentText[slot] = text
  return text
}

function daysIn(year: number, month: number): number {
  if (month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)) return 29
  return DAYS_IN_MONTH[month - 1] ?? 0
}

function parseOffset(text: string): number | undefined {
  if (text === 'Z') return 0
  const hours = Number(text.slice(1, 3))
  const minutes = text.length > 3 ? Number(text.slice(-2)) : 0
  if (hours > 23 || minutes > 59) return undefined
  return (text[0] === '-' ? -1 : 1) * (hours * 60 + minutes) * 60_000
}

/** As Date.UTC, which however moves the years 0 to 99 into the 20th century. */
function utc(year: number, month: number, day: number): number {
  if (year >= 100) return Date.UTC(year, month - 1, day)
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, day)
  return date.getTime()
}
