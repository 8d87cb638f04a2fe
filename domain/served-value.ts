// The value that Redis holds of one person's memberships, as bytes. Written and compared by the script of cache/memberships.ts,
// which knows this layout too. Pure.
//
//   kind (1 byte) | version (6 bytes, big endian) | generation of the segments (4 bytes) | items
//   item of a member: varint of segment * 2 + 1, then its end in 5 bytes; or varint of segment * 2: no end
//   item of who was merged away: varint of the profile that they are now
//
// Segments below 64 take one byte, so a membership takes six with an end and one without: eight with an end fit into the 64
// bytes up to which Redis keeps a small hash compact.
import { NEVER } from './segments/timed.ts'

/**
 * `whole` = every end is of the write that the version names; `partly` = some were kept from an earlier one, and the generation is that
 * of the earliest; `unsure` = a merge
 * is about to commit; `asked` = a pass could not say all ends, the next reader looks; `none` is only written with: in no
 * segment, as before.
 */
export const KIND = {
  whole: 'M',
  partly: 'P',
  merged: 'G',
  unsure: 'U',
  asked: 'L',
  apart: 'A',
  none: 'N',
} as const

export const HEADER_BYTES = 11
const GENERATION_AT = 7
/** Up to so many bytes a value lies in a hash that Redis keeps as a listpack. */
export const INLINE_BYTES = 64

/** Ends are counted from here, ms: 5 bytes reach to 2054, and what ends later has no end until then. */
const FIRST_MS = Date.UTC(2020, 0, 1)
const MOST = 2 ** 40 - 1
/** An end that is over, whenever it was. */
export const OVER_MS = FIRST_MS

/** Segment number -> end of the membership in ms, NEVER = open; an end that has come is answered as no member. */
export type Ends = Map<number, number>

export type ServedValue =
  /** `generation` = of the segments by which the oldest of the ends was worked out. */
  | { kind: 'members'; ends: Ends; generation: number }
  /** Merged away: ask for that profile. */
  | { kind: 'merged'; into: number }
  /** The value is too large for the hash and lies in a key of its own. */
  | { kind: 'apart' }
  /** Not to be believed until somebody has looked: ask Postgres. */
  | { kind: 'unsure' }

/** Items of memberships. */
export function encodeEnds(ends: Iterable<readonly [segmentId: number, endMs: number]>): Buffer {
  const bytes: number[] = []
  for (const [segmentId, endMs] of ends) {
    const since = Math.max(0, Math.ceil(endMs - FIRST_MS))
    if (since > MOST) {
      pushVarint(bytes, segmentId * 2)
      continue
    }
    pushVarint(bytes, segmentId * 2 + 1)
    for (let scale = 2 ** 32; scale >= 1; scale /= 256) bytes.push(Math.floor(since / scale) % 256)
  }
  return Buffer.from(bytes)
}

export function encodeInto(profileId: number): Buffer {
  const bytes: number[] = []
  pushVarint(bytes, profileId)
  return Buffer.from(bytes)
}

/** Undefined for what no version of Millrace wrote: as good as nothing there. */
export function decodeServed(value: Buffer): ServedValue | undefined {
  switch (value.toString('latin1', 0, 1)) {
    case KIND.whole:
    case KIND.partly:
      return { kind: 'members', ends: decodeEnds(value), generation: value.readUInt32BE(GENERATION_AT) }
    case KIND.merged:
      return { kind: 'merged', into: readVarint(value, HEADER_BYTES).number }
    case KIND.apart:
      return { kind: 'apart' }
    case KIND.unsure:
    case KIND.asked:
      return { kind: 'unsure' }
    default:
      return undefined
  }
}

function decodeEnds(value: Buffer): Ends {
  const ends: Ends = new Map()
  let at = HEADER_BYTES
  while (at < value.length) {
    const { number, next } = readVarint(value, at)
    const hasEnd = number % 2 === 1
    ends.set(Math.floor(number / 2), hasEnd ? FIRST_MS + value.readUIntBE(next, 5) : NEVER)
    at = hasEnd ? next + 5 : next
  }
  return ends
}

function pushVarint(bytes: number[], number: number): void {
  let rest = number
  while (rest >= 128) {
    bytes.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  bytes.push(rest)
}

function readVarint(bytes: Buffer, from: number): { number: number; next: number } {
  let number = 0
  let scale = 1
  for (let at = from; ; at++) {
    const byte = bytes.readUInt8(at)
    number += (byte % 128) * scale
    if (byte < 128) return { number, next: at + 1 }
    scale *= 128
  }
}
