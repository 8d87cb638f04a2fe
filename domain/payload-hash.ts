// A 64-bit fingerprint of what a message says, independent of key order: the same id with the same fingerprint is a
// repeat, with another one a conflict. Two 32-bit lanes of FNV-1a with a final mix; object members are added up, array
// items are hashed in their order. Fast, not cryptographic: it tells mistakes apart, it defends against nobody, and
// whoever can forge it can only spoil messages of their own ids. Pure; called by domain/normalise.ts.
import { isJsonObject, type JsonObject } from './validate-json.ts'

const PRIME_A = 0x01000193
const PRIME_B = 0x27220a95
const SEED_A = 0x811c9dc5 | 0
const SEED_B = 0x9747b28c | 0

// The lanes of the value being hashed. Module state, because an object a member would cost more than the hashing; set
// at the start of every call and never kept across one.
let a = 0
let b = 0

/**
 * Signed 64-bit decimal string of the values of `fields` in `message`, or in `instead` where that has the field; absent
 * and null fields do not count.
 */
export function payloadHash(
  message: Record<string, unknown>,
  fields: readonly string[],
  instead: Record<string, unknown> = {},
): string {
  let sumA = 0
  let sumB = 0
  for (const field of fields) {
    const value = field in instead ? instead[field] : message[field]
    if (value === undefined || value === null) continue
    hashMember(field, value)
    sumA = (sumA + mix(a)) | 0
    sumB = (sumB + mix(b ^ 0x5bd1e995)) | 0
  }
  return BigInt.asIntN(64, (BigInt(sumA >>> 0) << 32n) | BigInt(sumB >>> 0)).toString()
}

function hashMember(key: string, value: unknown): void {
  a = SEED_A
  b = SEED_B
  hashText(key)
  step(9)
  hashValue(value)
}

function hashValue(value: unknown): void {
  if (typeof value === 'string') {
    step(1)
    hashText(value)
  } else if (typeof value === 'number') {
    step(2)
    hashText(String(value))
  } else if (typeof value === 'boolean') step(value ? 3 : 4)
  else if (Array.isArray(value)) hashArray(value)
  else if (isJsonObject(value)) hashObject(value)
  else step(5)
}

function hashArray(items: unknown[]): void {
  step(7)
  for (const item of items) {
    step(11)
    hashValue(item)
  }
  step(8)
}

function hashObject(object: JsonObject): void {
  const outerA = a
  const outerB = b
  let sumA = 0
  let sumB = 0
  // What JSON.parse made has only names of its own; walking them this way is twice as fast as Object.entries.
  for (const key in object) {
    const value = object[key]
    if (value === undefined) continue
    hashMember(key, value)
    sumA = (sumA + mix(a)) | 0
    sumB = (sumB + mix(b)) | 0
  }
  a = Math.imul(outerA ^ sumA, PRIME_A)
  b = Math.imul(rotate(outerB) ^ sumB, PRIME_B)
  step(10)
}

function hashText(text: string): void {
  let laneA = a
  let laneB = b
  // Two characters a step: the multiplications wait for each other, so steps are what costs.
  const pairs = text.length & ~1
  for (let i = 0; i < pairs; i += 2) {
    const code = text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16)
    laneA = Math.imul(laneA ^ code, PRIME_A)
    laneA ^= laneA >>> 15
    laneB = Math.imul(rotate(laneB) ^ code, PRIME_B)
  }
  if (pairs < text.length) {
    const code = text.charCodeAt(pairs)
    laneA = Math.imul(laneA ^ code, PRIME_A)
    laneB = Math.imul(rotate(laneB) ^ code, PRIME_B)
  }
  a = laneA
  b = laneB
  step(text.length)
}

function step(tag: number): void {
  a = Math.imul(a ^ tag, PRIME_A)
  b = Math.imul(rotate(b) ^ tag, PRIME_B)
}

function rotate(lane: number): number {
  return (lane << 5) | (lane >>> 27)
}

/** MurmurHash3's finaliser: spreads a lane before it is added up. */
function mix(value: number): number {
  let h = value
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
