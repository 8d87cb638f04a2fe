// How far a feed of membership changes was read: of each writer lock the number of its last change, since only within a lock
// do numbers rise in the order of commits. Written down as an opaque text that a client sends back to go on from there. Pure.
import { lockOfProfile, WRITER_LOCKS } from './buckets.ts'

/** By writer lock (0 … 127). All changes of the lock's people up to this number were read. */
export type Position = readonly number[]

/** Before the first change. */
export const START: Position = Array.from({ length: WRITER_LOCKS }, () => 0)

export type Numbered = { id: number; profileId: number }

/** After some changes, of which each lock's come in the order of their numbers. */
export function afterChanges(position: Position, changes: readonly Numbered[]): Position {
  if (changes.length === 0) return position
  const next = [...position]
  for (const { id, profileId } of changes) next[lockOfProfile(profileId)] = id
  return next
}

/** Whether a change comes after the position. */
export function isAfter(position: Position, { id, profileId }: Numbered): boolean {
  return id > (position[lockOfProfile(profileId)] ?? 0)
}

const VERSION = 1
/** Above what the sequence of changes will ever give. */
const MAX = 2 ** 51

/**
 * A version byte, then each number as the difference to the one before: 0 with how often it comes, others as zigzag
 * varints. Numbers of a busy deployment are close to each other: about 300 characters; 8 for the start.
 */
export function encodePosition(position: Position): string {
  const bytes = [VERSION]
  let before = 0
  let same = 0
  const endRun = () => {
    if (same > 0) bytes.push(0, same)
    same = 0
  }
  for (const number of position) {
    const difference = number - before
    before = number
    if (difference === 0) {
      same += 1
      continue
    }
    endRun()
    let rest = difference > 0 ? difference * 2 : -difference * 2 - 1
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
    bytes.push(rest)
  }
  endRun()
  return Buffer.from(bytes).toString('base64url')
}

/** Undefined when it is none of ours. */
export function decodePosition(text: string): Position | undefined {
  if (!/^[A-Za-z0-9_-]{1,1400}$/.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64url')
  if (bytes[0] !== VERSION) return undefined
  const position: number[] = []
  let before = 0
  for (let at = 1; at < bytes.length; ) {
    const varint = readVarint(bytes, at)
    if (varint === undefined) return undefined
    at = varint.next
    let times = 1
    if (varint.value === 0) {
      times = bytes[at] ?? 0
      at += 1
    }
    before += varint.value % 2 === 0 ? varint.value / 2 : -(varint.value + 1) / 2
    if (before < 0 || before > MAX || times === 0 || position.length + times > WRITER_LOCKS) return undefined
    for (let i = 0; i < times; i++) position.push(before)
  }
  return position.length === WRITER_LOCKS ? position : undefined
}

function readVarint(bytes: Buffer, from: number): { value: number; next: number } | undefined {
  let value = 0
  let weight = 1
  for (let at = from; at < bytes.length && at < from + 8; at++, weight *= 128) {
    const byte = bytes[at] ?? 0
    value += (byte & 127) * weight
    if (byte < 128) return Number.isSafeInteger(value) ? { value, next: at + 1 } : undefined
  }
  return undefined
}
