// A 64-bit fingerprint of what a message says, independent of key order: the same id with the same fingerprint is a
// repeat, with another one a conflict. Two 32-bit lanes of FNV-1a with a final mix; object members are added up, array
// items are hashed with their position. Fast (no allocation a node), not cryptographic: it tells mistakes apart, it
// defends against nobody, and whoever can forge it can only spoil messages of their own ids.

const FNV_PRIME = 0x01000193
const SEED_A = 0x811c9dc5
const SEED_B = 0x9747b28c

/** Accumulates one lane pair; reused so that hashing allocates nothing. */
type Lanes = { a: number; b: number }

/** Signed 64-bit decimal string of the values of `fields` in `message`; absent fields do not count. */
export function payloadHash(message: Record<string, unknown>, fields: readonly string[]): string {
  let a = 0
  let b = 0
  for (const field of fields) {
    const value = message[field]
    if (value === undefined || value === null) continue
    const lanes = hashValue(value, hashText(field, { a: SEED_A, b: SEED_B }))
    a = (a + mix(lanes.a)) | 0
    b = (b + mix(lanes.b ^ 0x5bd1e995)) | 0
  }
  return BigInt.asIntN(64, (BigInt(a >>> 0) << 32n) | BigInt(b >>> 0)).toString()
}

function hashValue(value: unknown, into: Lanes): Lanes {
  switch (typeof value) {
    case 'string':
      return hashText(value, step(into, 1))
    case 'number':
      return hashText(String(value), step(into, 2))
    case 'boolean':
      return step(into, value ? 3 : 4)
    case 'object':
      if (value === null) return step(into, 5)
      return Array.isArray(value) ? hashArray(value, into) : hashObject(value, into)
    default:
      return step(into, 6)
  }
}

function hashArray(items: unknown[], into: Lanes): Lanes {
  step(into, 7)
  for (let i = 0; i < items.length; i++) {
    step(into, 11)
    hashValue(items[i], into)
  }
  return step(into, 8)
}

function hashObject(object: object, into: Lanes): Lanes {
  let a = 0
  let b = 0
  for (const [key, value] of Object.entries(object)) {
    const member = hashValue(value, step(hashText(key, { a: SEED_A, b: SEED_B }), 9))
    a = (a + mix(member.a)) | 0
    b = (b + mix(member.b)) | 0
  }
  into.a = Math.imul(into.a ^ a, FNV_PRIME)
  into.b = Math.imul(into.b ^ b, FNV_PRIME)
  return step(into, 10)
}

function hashText(text: string, into: Lanes): Lanes {
  let { a, b } = into
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, FNV_PRIME)
    b = Math.imul((b << 5) ^ (b >>> 27) ^ code, 0x27220a95)
  }
  into.a = Math.imul(a ^ text.length, FNV_PRIME)
  into.b = Math.imul(b ^ text.length, 0x27220a95)
  return into
}

function step(into: Lanes, tag: number): Lanes {
  into.a = Math.imul(into.a ^ tag, FNV_PRIME)
  into.b = Math.imul((into.b << 5) ^ (into.b >>> 27) ^ tag, 0x27220a95)
  return into
}

/** MurmurHash3's finaliser: spreads a lane before it is added up. */
function mix(value: number): number {
  let h = value
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}
