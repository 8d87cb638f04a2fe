// The small parts of a rule: each is read or refused with its path, what was expected and, where a word is close to a known
// one, a suggestion. Used by parse.ts and the two files of leaves.
import { fail, type MillraceError } from '../../runtime/errors.ts'
import { LIST_OPS, RULE_LIMITS, type Scalar, TRAIT_OPS, type TraitOp, type Zone } from '../../schema/rule.ts'
import { parseEventTime } from '../event-time.ts'
import { isZone } from './calendar.ts'
import { parseDuration } from './durations.ts'
import { isPatternOp, refusedPattern } from './patterns.ts'

export type Json = Record<string, unknown>

export function conditionAt(node: Json, path: string): { op: TraitOp; value?: Scalar | Scalar[] } {
  const op = oneOf(node.op, TRAIT_OPS, `${path}.op`)
  if (op === 'exists' || op === 'missing') {
    if (node.value !== undefined) throw fault(`${path}.value`, `"${op}" takes no value`)
    return { op }
  }
  if (LIST_OPS.includes(op)) {
    if (!Array.isArray(node.value) || node.value.length === 0 || node.value.length > RULE_LIMITS.listItems)
      throw fault(`${path}.value`, `expected a list of 1 to ${RULE_LIMITS.listItems} values`)
    return { op, value: node.value.map((item, i) => scalarAt(item, `${path}.value[${i}]`)) }
  }
  const value = scalarAt(node.value, `${path}.value`)
  if ((op === 'contains' || op === 'startsWith' || op === 'endsWith') && typeof value !== 'string')
    throw fault(`${path}.value`, `"${op}" takes a text`)
  if (isPatternOp(op)) {
    if (typeof value !== 'string') throw fault(`${path}.value`, `"${op}" takes a text`)
    const refused = refusedPattern(op, value)
    if (refused !== undefined) throw fault(`${path}.value`, refused)
  }
  return { op, value }
}

export function scalarAt(input: unknown, path: string): Scalar {
  if (typeof input === 'string') return textAt(input, path, 0)
  if (typeof input === 'boolean' || (typeof input === 'number' && Number.isFinite(input))) return input
  throw fault(path, 'expected a text, a number, true or false')
}

/** Amounts are compared as exact decimals, so one that can only be written with an exponent is refused. */
export function amountAt(input: unknown, path: string): number | string {
  if (typeof input === 'number' && /^-?\d{1,15}(\.\d+)?$/.test(String(input))) return input
  if (typeof input === 'string' && /^-?\d{1,15}(\.\d{1,6})?$/.test(input)) return input
  throw fault(path, 'expected a number of at most 15 digits before the point')
}

export function instantAt(input: unknown, path: string): string {
  if (
    typeof input === 'string' &&
    parseEventTime(input) !== undefined &&
    parseEventTime(input) === Date.parse(input)
  )
    return input
  throw fault(path, 'expected an instant such as "2026-11-01T00:00:00Z"')
}

export function durationAt(input: unknown, path: string): string {
  const text = textAt(input, path)
  if (parseDuration(text) === undefined)
    throw fault(path, 'expected a fixed duration such as "P30D" or "PT24H" (no months or years)')
  return text
}

/** A whole number within its bounds. */
export function wholeAt(input: unknown, path: string, least: number, most: number): number {
  if (typeof input !== 'number' || !Number.isInteger(input) || input < least || input > most)
    throw fault(path, `expected a whole number from ${least} to ${most}`)
  return input
}

export function numberAt(input: unknown, path: string, least: number, most: number): number {
  if (typeof input !== 'number' || !(input >= least && input <= most))
    throw fault(path, `expected a number from ${least} to ${most}`)
  return input
}

export function booleanAt(input: unknown, path: string): boolean {
  if (typeof input !== 'boolean') throw fault(path, 'expected true or false')
  return input
}

/** A list of at most `most` that is not empty, each item read by `item`. */
export function listAt<T>(
  input: unknown,
  path: string,
  most: number,
  item: (input: unknown, path: string) => T,
): T[] {
  if (!Array.isArray(input) || input.length === 0 || input.length > most)
    throw fault(path, `expected a list of 1 to ${most}`)
  return input.map((one, i) => item(one, `${path}[${i}]`))
}

export function zoneAt(input: unknown, path: string): Zone {
  if (typeof input === 'string') {
    if (!isZone(input)) throw fault(path, 'expected an IANA time zone such as "Europe/Berlin"')
    return input
  }
  const zone = objectAt(input, path)
  knownKeys(zone, ['trait'], path)
  return { trait: textAt(zone.trait, `${path}.trait`) }
}

/** Members that are there, each read by its reader: what is left out stays left out. */
export function optional<T extends object>(
  node: Json,
  readers: { [K in keyof T]: (input: unknown) => T[K] },
): Partial<T> {
  const found: Partial<T> = {}
  for (const key in readers) if (node[key] !== undefined) found[key] = readers[key](node[key])
  return found
}

export function textAt(input: unknown, path: string, minLength = 1): string {
  if (typeof input !== 'string' || input.length < minLength) throw fault(path, 'expected a text')
  if (input.length > RULE_LIMITS.textLength)
    throw fault(path, `is longer than ${RULE_LIMITS.textLength} characters`)
  if (input.includes('\u0000') || !input.isWellFormed())
    throw fault(path, 'contains a character that cannot be stored')
  return input
}

export function objectAt(input: unknown, path: string): Json {
  if (typeof input !== 'object' || input === null || Array.isArray(input))
    throw fault(path, 'expected an object')
  return input as Json
}

export function oneOf<const T extends string>(input: unknown, known: readonly T[], path: string): T {
  const found = known.find((word) => word === input)
  if (found !== undefined) return found
  throw fault(path, `expected one of ${known.join(', ')}${suggest(input, known)}`)
}

export function knownKeys(node: Json, known: string[], path: string): void {
  for (const key of Object.keys(node)) {
    if (!known.includes(key))
      throw fault(
        `${path}.${key.slice(0, 50)}`,
        `is not known here; known are ${known.join(', ')}${suggest(key, known)}`,
      )
  }
}

/** The known word that differs by one character, else one that starts alike. */
export function suggest(input: unknown, known: readonly string[]): string {
  if (typeof input !== 'string' || input === '') return ''
  const lower = input.toLowerCase()
  const near =
    known.find((word) => isOneOff(word.toLowerCase(), lower)) ??
    known.find((word) => word.toLowerCase().startsWith(lower.slice(0, 3)))
  return near === undefined ? '' : `; did you mean "${near}"?`
}

/** The same counts too. */
function isOneOff(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false
  let same = 0
  while (same < Math.min(a.length, b.length) && a[same] === b[same]) same += 1
  return (
    a.slice(same + 1) === b.slice(same + 1) ||
    a.slice(same) === b.slice(same + 1) ||
    a.slice(same + 1) === b.slice(same)
  )
}

export function fault(path: string, expected: string): MillraceError {
  return fail('invalid_rule', `${path} ${expected}`, { field: path })
}
