// The bytes of a served value: whatever is written is read again, and how much room it takes.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { NEVER } from '../../domain/segments/timed.ts'
import { decodeServed, encodeEnds, encodeInto, OVER_MS } from '../../domain/served-value.ts'

const GENERATION = 70_000
const HEADER = Buffer.alloc(10)
HEADER.writeUInt32BE(GENERATION, 6)
const bytesOf = (kind: string, items: Buffer) => Buffer.concat([Buffer.from(kind), HEADER, items])

test('segments and their ends are read as they were written', () => {
  const end = fc.oneof(fc.constant(NEVER), fc.integer({ min: OVER_MS, max: OVER_MS + 2 ** 40 - 1 }))
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 2 ** 31 - 1 }), end)), (entries) => {
      const ends = new Map(entries)
      expect(decodeServed(bytesOf('M', encodeEnds(ends)))).toEqual({
        kind: 'members',
        ends,
        generation: GENERATION,
      })
    }),
  )
})

test('an end before 2020 is over, one after 2054 is none yet, and no fraction ends early', () => {
  const ends = new Map([
    [1, 5],
    [2, Date.UTC(2055, 0, 1)],
    [3, OVER_MS + 1000.2],
  ])
  expect(decodeServed(bytesOf('P', encodeEnds(ends)))).toEqual({
    kind: 'members',
    generation: GENERATION,
    ends: new Map([
      [1, OVER_MS],
      [2, NEVER],
      [3, OVER_MS + 1001],
    ]),
  })
})

test('who was merged away names the other, up to the largest number there is', () => {
  for (const into of [0, 127, 128, 2 ** 40 + 7, Number.MAX_SAFE_INTEGER])
    expect(decodeServed(bytesOf('G', encodeInto(into)))).toEqual({ kind: 'merged', into })
})

test('eight memberships with an end, or 53 without, fit into what Redis keeps compact', () => {
  const some = (count: number, end: number) =>
    new Map(Array.from({ length: count }, (_, i) => [i + 1, end] as const))
  expect(bytesOf('M', encodeEnds(some(8, Date.UTC(2027, 0, 1)))).length).toBeLessThanOrEqual(64)
  expect(bytesOf('M', encodeEnds(some(53, NEVER))).length).toBeLessThanOrEqual(64)
  expect(bytesOf('M', encodeEnds(some(9, Date.UTC(2027, 0, 1)))).length).toBeGreaterThan(64)
})

test('what nobody of us wrote is as good as nothing', () => {
  expect(decodeServed(Buffer.from('7|1,2'))).toBeUndefined()
  expect(decodeServed(Buffer.alloc(0))).toBeUndefined()
})
