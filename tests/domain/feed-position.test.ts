// Positions of the feed: what is written down is read again, in few characters, and nothing else is taken for one.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  lockOfProfile,
  locksOfRange,
  locksOfShard,
  rangeOfProfile,
  WRITER_LOCKS,
} from '../../domain/buckets.ts'
import {
  afterChanges,
  decodePosition,
  encodePosition,
  isAfter,
  type Position,
  START,
} from '../../domain/feed-position.ts'

const number = fc.oneof(
  fc.constant(0),
  fc.integer({ min: 0, max: 300 }),
  fc.integer({ min: 1_000_000, max: 1_000_400 }),
  fc.maxSafeNat().map((n) => Math.floor(n / 4)),
)
const position: fc.Arbitrary<Position> = fc.oneof(
  fc.array(number, { minLength: WRITER_LOCKS, maxLength: WRITER_LOCKS }),
  number.map((one) => Array.from({ length: WRITER_LOCKS }, () => one)),
)

test('a position is read as it was written, whatever its numbers', () => {
  fc.assert(
    fc.property(position, (one) => {
      const text = encodePosition(one)
      expect(text).toMatch(/^[\w-]+$/)
      expect(decodePosition(text)).toEqual(one)
    }),
  )
})

test('the start takes a few characters, a busy deployment a few hundred, the worst fits a header', () => {
  expect(encodePosition(START).length).toBeLessThan(10)
  const busy = START.map((_, i) => 1_000_000_000 + ((i * 7919) % 1000))
  expect(encodePosition(busy).length).toBeLessThan(400)
  const worst = START.map((_, i) => (i % 2 === 0 ? 2 ** 51 : 0))
  expect(encodePosition(worst).length).toBeLessThanOrEqual(1400)
  expect(decodePosition(encodePosition(worst))).toEqual(worst)
})

test('what is none of ours is no position, and never an error', () => {
  const text = encodePosition(START.map((_, i) => i * 1000))
  for (const wrong of [
    '',
    'start',
    '!',
    `${text}AA`,
    text.slice(0, -4),
    `B${text.slice(1)}`,
    'AQ',
    'AQCB',
    'AQAA',
  ])
    expect(decodePosition(wrong), wrong).toBeUndefined()
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const found = decodePosition(Buffer.from([1, ...bytes]).toString('base64url'))
      if (found === undefined) return
      expect(found.length).toBe(WRITER_LOCKS)
      expect(found.every((one) => Number.isSafeInteger(one) && one >= 0)).toBe(true)
    }),
  )
})

test('after a change its people’s next one is new, and those of other locks are untouched', () => {
  const profileId = 5 * 1024 + 700
  const at = afterChanges(START, [{ id: 40, profileId }])
  expect([39, 40, 41].map((id) => isAfter(at, { id, profileId }))).toEqual([false, false, true])
  expect(isAfter(at, { id: 1, profileId: 5 * 1024 + 720 })).toBe(true)
  expect(START.every((one) => one === 0)).toBe(true)
})

test('a profile’s lock is among those of its shard, however many shards there are, and of its bucket range', () => {
  for (const profileId of [0, 1023, 1024 * 9 + 8, 1024 * 3 + 511, 1024 * 77 + 640]) {
    const lock = lockOfProfile(profileId)
    for (const shards of [1, 4, 16, 128, 256, 1024]) {
      const shard = Math.floor((profileId % 1024) / (1024 / shards))
      const { first, last } = locksOfShard(shard, shards)
      expect(lock >= first && lock <= last, `${shards} shards`).toBe(true)
    }
    expect(locksOfRange(rangeOfProfile(profileId))).toContain(lock)
  }
})
