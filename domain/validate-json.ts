// What no JSON value of an event may hold, whatever its field: what Postgres cannot store, JavaScript cannot keep
// exactly, or a later stage could not walk. One recursive walk that allocates nothing while all is well. Pure.

export const MAX_DEPTH = 32
/** Names in one object; more is a map that belongs in an array. */
export const MAX_NAMES = 255

/** Where (path inside the value) and why; the path is built only on the way out of a bad value. */
export type Flaw = { path: string; reason: string }

/** Carried through one walk. */
export type Walk = {
  /**
   * False when the raw text had no `\u` escape: then, as the text was valid UTF-8, no string in it can hold NUL or
   * half a surrogate pair, and strings are not looked into.
   */
  checkStrings: boolean
  /** Grows by about the number of characters that the value has as JSON; never more than 6 times too small in bytes. */
  chars: number
}

export type JsonObject = Record<string, unknown>

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The first flaw of a value that JSON.parse made, or undefined. `depth` is that of the value itself: 1 for an event. */
export function findFlaw(value: unknown, walk: Walk, depth: number): Flaw | undefined {
  if (typeof value === 'string') {
    walk.chars += value.length + 3
    return walk.checkStrings ? flawOfText(value) : undefined
  }
  if (typeof value === 'number') {
    walk.chars += 20
    if (value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER) return undefined
    return { path: '', reason: flawOfNumber(value) }
  }
  walk.chars += 6
  if (Array.isArray(value)) return depth > MAX_DEPTH ? TOO_DEEP : flawOfArray(value, walk, depth)
  if (isJsonObject(value)) return depth > MAX_DEPTH ? TOO_DEEP : flawOfObject(value, walk, depth)
  return undefined
}

const TOO_DEEP: Flaw = { path: '', reason: `is nested deeper than ${MAX_DEPTH} levels` }

function flawOfArray(items: unknown[], walk: Walk, depth: number): Flaw | undefined {
  for (let i = 0; i < items.length; i++) {
    const flaw = findFlaw(items[i], walk, depth + 1)
    if (flaw !== undefined) return { path: join(`[${i}]`, flaw.path), reason: flaw.reason }
  }
  return undefined
}

function flawOfObject(value: JsonObject, walk: Walk, depth: number): Flaw | undefined {
  let names = 0
  // JSON.parse makes plain objects, `__proto__` as an own name too, and plain objects inherit no enumerable names.
  for (const name in value) {
    names += 1
    walk.chars += name.length + 4
    const length = name.length
    if ((length === 9 || length === 11) && isForbidden(name)) {
      return { path: name, reason: 'is a name that is not allowed' }
    }
    if (walk.checkStrings) {
      const flaw = flawOfText(name)
      if (flaw !== undefined) return { path: '', reason: `has a name that ${flaw.reason}` }
    }
    const flaw = findFlaw(value[name], walk, depth + 1)
    if (flaw !== undefined) return { path: join(name.slice(0, 64), flaw.path), reason: flaw.reason }
  }
  if (names > MAX_NAMES) return { path: '', reason: `has ${names} names, more than ${MAX_NAMES}` }
  return undefined
}

/** `prototype`, `constructor` and `__proto__` turn into something else in the first careless merge downstream. */
function isForbidden(name: string): boolean {
  return name === '__proto__' || name === 'constructor' || name === 'prototype'
}

function flawOfText(text: string): Flaw | undefined {
  if (text.includes('\0')) return { path: '', reason: 'holds a NUL character' }
  if (!text.isWellFormed()) return { path: '', reason: 'holds half of a surrogate pair' }
  return undefined
}

function flawOfNumber(value: number): string {
  if (!Number.isFinite(value)) return 'is a number beyond what a double can hold'
  return 'is an integer beyond 2^53 and would be rounded: send it as a string'
}

function join(head: string, tail: string): string {
  if (tail === '') return head
  return tail.startsWith('[') ? `${head}${tail}` : `${head}.${tail}`
}
