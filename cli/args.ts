// Arguments of a command: options by name, the rest by position. Mistakes are `invalid_request` errors, which the
// dispatcher answers with exit code 2; nothing is ignored silently.
import { parseArgs } from 'node:util'
import { parseEventTime } from '../domain/event-time.ts'
import { fail } from '../runtime/errors.ts'

export type OptionTypes = Record<string, 'string' | 'boolean'>
export type Parsed<Types extends OptionTypes> = {
  options: { [Name in keyof Types]?: Types[Name] extends 'boolean' ? boolean : string }
  positionals: string[]
}

/** Parses `--name value`, `--name=value` and flags. Throws on unknown options and on more than `maxPositionals`. */
export function parseOptions<const Types extends OptionTypes>(
  args: string[],
  types: Types,
  maxPositionals = 0,
): Parsed<Types> {
  const options = Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { type }]))
  let parsed: { values: Record<string, unknown>; positionals: string[] }
  try {
    parsed = parseArgs({ args, options, allowPositionals: true, strict: true })
  } catch (error) {
    const text = error instanceof Error ? error.message : 'unknown option'
    const wrong = /'(-[^']*)'/.exec(text)?.[1]?.split(' ')[0]
    const near =
      wrong === undefined
        ? undefined
        : nearest(
            wrong,
            Object.keys(types).map((name) => `--${name}`),
          )
    throw fail('invalid_request', near === undefined ? text : `${text.split('. ')[0]}. Did you mean ${near}?`)
  }
  const extra = parsed.positionals[maxPositionals]
  if (extra !== undefined) throw fail('invalid_request', `${extra} is one argument too many`)
  // parseArgs has checked the values against `types`: this is the one decode cast.
  return { options: parsed.values as Parsed<Types>['options'], positionals: parsed.positionals }
}

/** A whole number of an option, or undefined when it is not given. */
export function wholeNumber(
  text: string | undefined,
  name: string,
  range: { min: number; max: number },
): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  if (text.trim() === '' || !Number.isInteger(value) || value < range.min || value > range.max) {
    throw fail(
      'invalid_request',
      `--${name} must be a whole number from ${range.min} to ${range.max}, not ${text}`,
    )
  }
  return value
}

/** A time: ISO 8601, or how long ago (`90s`, `15m`, `2h`, `3d`). */
export function pastTime(text: string | undefined, name: string, nowMs: number): Date | undefined {
  if (text === undefined) return undefined
  const ago = /^(\d+)(s|m|h|d)$/.exec(text)
  if (ago !== null) {
    const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[ago[2] ?? 's'] ?? 1_000
    return new Date(nowMs - Number(ago[1]) * unitMs)
  }
  const at = new Date(text)
  if (Number.isNaN(at.getTime())) {
    throw fail(
      'invalid_request',
      `--${name} must be a time (2026-01-31T12:00:00Z) or an age (15m, 2h, 3d), not ${text}`,
    )
  }
  return at
}

/** An instant with its zone, as it was written: the API reads it. Undefined when it is not given. */
export function zonedInstant(text: string | undefined, name: string): string | undefined {
  if (text !== undefined && parseEventTime(text) === undefined)
    throw fail(
      'invalid_request',
      `--${name} must be an instant with its zone (2026-12-24T00:00:00Z, 2026-12-24T01:00:00+01:00), not ${text}`,
    )
  return text
}

/** Comma separated values; empty when absent. */
export function commaList(text: string | undefined): string[] {
  return (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

/** The candidate that a mistyped word most likely meant; undefined when none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: { candidate: string; edits: number } | undefined
  for (const candidate of candidates) {
    const edits = editDistance(word, candidate)
    if (best === undefined || edits < best.edits) best = { candidate, edits }
  }
  if (best === undefined || best.edits > Math.max(1, Math.floor(word.length / 3))) return undefined
  return best.candidate
}

/** Letters inserted, left out, changed, or swapped with their neighbour. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const swap = isSwap ? (beforeLast[j - 2] ?? 0) + 1 : change
      next.push(Math.min(change, swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    beforeLast = row
    row = next
  }
  return row[b.length] ?? 0
}
