// The check of one event at the write edge: shape, ids, name, times, sizes. Called by the collector for every event;
// what passes here can be stored. Absent is what is missing, null or '': SDKs send all three. Pure, and fast: this is
// the hot path, so fields are checked in place and put into their one form on the same object.
import { EVENT_TYPES, type EventType } from '../schema/event.ts'
import { parseEventTime } from './event-time.ts'
import { findFlaw, isJsonObject, type JsonObject, type Walk } from './validate-json.ts'

/** Why an event is refused: code of runtime/errors.ts, the field and a reason that never quotes a value. */
export type Issue = {
  code: 'invalid_event' | 'payload_too_large' | 'event_out_of_range'
  field: string
  reason: string
}

export type EventLimits = {
  /** The type that the path says; undefined where each event names its own. */
  pathType: EventType | undefined
  /** Oldest time accepted, ms since the epoch. */
  oldestMs: number
  maxEventBytes: number
  /** Bytes of the whole request: an event cannot be larger. */
  requestBytes: number
  /** See Walk.checkStrings. */
  checkStrings: boolean
}

export const MAX_ID_CHARS = 256
export const MAX_NAME_CHARS = 200
/** The first day of the epoch is what broken clocks and zeroed fields say. */
const FIRST_POSSIBLE_MS = 86_400_000

const TYPES: ReadonlySet<unknown> = new Set(EVENT_TYPES)

/** The first issue of an event, or undefined; `walk.chars` grows by the event's size in characters, for packing. */
export function checkEvent(event: unknown, limits: EventLimits, walk: Walk): Issue | undefined {
  if (!isJsonObject(event)) return invalid('', 'must be an object')
  if (limits.pathType !== undefined) event.type = limits.pathType
  else if (!TYPES.has(event.type)) return invalid('type', `must be one of ${EVENT_TYPES.join(', ')}`)
  const before = walk.chars
  const flaw = findFlaw(event, walk, 1)
  if (flaw !== undefined) return invalid(flaw.path, flaw.reason)
  return (
    checkSize(event, '', walk.chars - before, limits) ??
    checkIds(event) ??
    checkByType(event) ??
    checkObjects(event) ??
    checkTimes(event, limits.oldestMs)
  )
}

/** The first issue of `context` or `integrations` that a batch gives for all of its events. */
export function checkShared(
  value: unknown,
  field: string,
  limits: Omit<EventLimits, 'pathType' | 'oldestMs'>,
): Issue | undefined {
  if (isAbsent(value)) return undefined
  if (!isJsonObject(value)) return invalid(field, 'must be an object')
  const walk = { checkStrings: limits.checkStrings, chars: 0 }
  const flaw = findFlaw(value, walk, 2)
  if (flaw === undefined) return checkSize(value, field, walk.chars, limits)
  return invalid(flaw.path === '' ? field : `${field}.${flaw.path}`, flaw.reason)
}

/** Exact, but only measured where the cheap upper bound does not settle it. */
function checkSize(
  value: JsonObject,
  field: string,
  chars: number,
  limits: Pick<EventLimits, 'maxEventBytes' | 'requestBytes'>,
): Issue | undefined {
  if (limits.requestBytes <= limits.maxEventBytes || chars * 6 <= limits.maxEventBytes) return undefined
  const bytes = Buffer.byteLength(JSON.stringify(value))
  if (bytes <= limits.maxEventBytes) return undefined
  return {
    code: 'payload_too_large',
    field,
    reason: `is ${bytes} bytes of JSON, more than ${limits.maxEventBytes}`,
  }
}

function checkIds(event: JsonObject): Issue | undefined {
  const issue =
    checkId(event, 'userId') ??
    checkId(event, 'anonymousId') ??
    checkId(event, 'groupId') ??
    checkId(event, 'previousId')
  if (issue !== undefined) return issue
  const messageId = event.messageId
  if (isAbsent(messageId)) event.messageId = undefined
  else if (typeof messageId !== 'string' || messageId.length > MAX_ID_CHARS) {
    return invalid('messageId', `must be a string of 1 to ${MAX_ID_CHARS} characters`)
  }
  if (event.userId === undefined && event.anonymousId === undefined) {
    return invalid('userId', 'is missing: an event needs a userId or an anonymousId')
  }
  return undefined
}

/** Ids are strings; whole numbers are taken as their digits, as Segment does. */
function checkId(event: JsonObject, field: string): Issue | undefined {
  const id = event[field]
  if (typeof id === 'string' && id.length <= MAX_ID_CHARS && id !== '') return undefined
  if (id === undefined) return undefined
  if (isAbsent(id)) event[field] = undefined
  else if (typeof id === 'number' && Number.isSafeInteger(id)) event[field] = String(id)
  else return invalid(field, `must be a string of 1 to ${MAX_ID_CHARS} characters`)
  return undefined
}

function checkByType(event: JsonObject): Issue | undefined {
  switch (event.type) {
    case 'track':
      if (isAbsent(event.event))
        return invalid('event', 'is missing: a track needs the name of what was done')
      return checkName(event, 'event')
    case 'page':
    case 'screen':
      if (isAbsent(event.name)) event.name = undefined
      return event.name === undefined ? undefined : checkName(event, 'name')
    case 'group':
      return event.groupId === undefined ? invalid('groupId', 'is missing: a group needs one') : undefined
    case 'alias':
      if (event.userId === undefined) return invalid('userId', 'is missing: an alias needs the new id')
      return event.previousId === undefined
        ? invalid('previousId', 'is missing: an alias needs the old id')
        : undefined
    default:
      return undefined
  }
}

const PLAIN_NAME = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/
// Control characters, and those that reorder or hide the text around them in a console.
const UNSEEN = /[\p{Cc}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u

function checkName(event: JsonObject, field: string): Issue | undefined {
  const name = event[field]
  if (typeof name !== 'string' || name.length > MAX_NAME_CHARS) {
    return invalid(field, `must be a string of 1 to ${MAX_NAME_CHARS} characters`)
  }
  if (PLAIN_NAME.test(name)) return undefined
  if (name.trim() === '') return invalid(field, 'is blank')
  if (UNSEEN.test(name)) return invalid(field, 'holds control or invisible characters')
  // Two spellings of one name would be two events in every report.
  const composed = name.normalize('NFC')
  if (composed.length > MAX_NAME_CHARS) {
    return invalid(field, `must be a string of 1 to ${MAX_NAME_CHARS} characters`)
  }
  event[field] = composed
  return undefined
}

const OBJECT_FIELDS = ['properties', 'traits', 'context', 'integrations'] as const

function checkObjects(event: JsonObject): Issue | undefined {
  for (const field of OBJECT_FIELDS) {
    const value = event[field]
    if (value === undefined) continue
    if (isAbsent(value)) event[field] = undefined
    else if (!isJsonObject(value)) return invalid(field, 'must be an object')
  }
  return undefined
}

const TIME_FIELDS = ['timestamp', 'originalTimestamp', 'sentAt'] as const

/** Only what the event is dated by can be too old; all times must be readable. */
function checkTimes(event: JsonObject, oldestMs: number): Issue | undefined {
  let dated = false
  for (const field of TIME_FIELDS) {
    const value = event[field]
    if (value === undefined) continue
    if (isAbsent(value)) {
      event[field] = undefined
      continue
    }
    const time = typeof value === 'string' ? parseEventTime(value) : undefined
    if (time === undefined || time < FIRST_POSSIBLE_MS) {
      return invalid(
        field,
        'must be a possible time with an offset (RFC 3339), like 2026-01-31T12:00:00.000Z',
      )
    }
    if (!dated && field !== 'sentAt' && time < oldestMs) {
      return { code: 'event_out_of_range', field, reason: tooOld(oldestMs) }
    }
    dated = true
  }
  return undefined
}

function tooOld(oldestMs: number): string {
  return `is before ${new Date(oldestMs).toISOString()}, the oldest time that this source accepts`
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || value === ''
}

function invalid(field: string, reason: string): Issue {
  return { code: 'invalid_event', field, reason }
}
