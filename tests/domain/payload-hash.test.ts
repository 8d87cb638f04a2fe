// The fingerprint that tells a repeat from a conflict: blind to the order of names, sharp for everything else.
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { payloadHash } from '../../domain/payload-hash.ts'
import { isJsonObject } from '../../domain/validate-json.ts'

const FIELDS = ['type', 'event', 'properties', 'context']
const hashOf = (properties: unknown) => payloadHash({ type: 'track', event: 'A', properties }, FIELDS)

/** As it comes out of a parser: no -0, no undefined. */
const json = fc.jsonValue({ maxDepth: 5 }).map((value): unknown => JSON.parse(JSON.stringify(value)))

/** The same value with the names of every object in another order. */
function shuffled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shuffled)
  if (!isJsonObject(value)) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, member]) => [name, shuffled(member)]),
  )
}

describe('the payload hash', () => {
  test('does not see the order of names, at any depth', () => {
    fc.assert(fc.property(json, (value) => hashOf(value) === hashOf(shuffled(value))))
  })

  test('tells any two different values apart', () => {
    fc.assert(
      fc.property(json, json, (left, right) => {
        // An absent field and a null one say the same.
        if (isDeepStrictEqual(left ?? undefined, right ?? undefined)) return
        expect(hashOf(left)).not.toBe(hashOf(right))
      }),
      { numRuns: 2000 },
    )
  })

  test('sees one changed character, one moved item and one swapped value anywhere', () => {
    const base = { sku: 'A-1', price: 19.99, tags: ['x', 'y'], nested: { left: 1, right: 2 }, flag: true }
    const others = [
      { ...base, sku: 'A-2' },
      { ...base, price: '19.99' },
      { ...base, tags: ['y', 'x'] },
      { ...base, tags: [['x'], 'y'] },
      { ...base, tags: ['xy'] },
      { ...base, nested: { left: 2, right: 1 } },
      { ...base, nested: {} },
      { ...base, nested: [] },
      { ...base, nested: null },
      { ...base, flag: false },
      { ...base, extra: null },
      { ...base, Flag: true },
    ]
    const hashes = new Set([base, ...others].map(hashOf))
    expect(hashes.size).toBe(others.length + 1)
  })

  test('has no collision among 200,000 messages that differ in one number', () => {
    const hashes = new Set<string>()
    for (let i = 0; i < 200_000; i++) hashes.add(hashOf({ order_id: i, total: i % 100 }))
    expect(hashes.size).toBe(200_000)
  })

  test('is a signed 64-bit number as text', () => {
    fc.assert(
      fc.property(json, (value) => {
        const hash = hashOf(value)
        return /^-?[0-9]{1,19}$/.test(hash) && BigInt.asIntN(64, BigInt(hash)) === BigInt(hash)
      }),
    )
  })

  test('reads only the fields it is told to', () => {
    const message = { type: 'track', event: 'A', properties: { a: 1 } }
    const resent = { ...message, sentAt: '2026-11-21T00:00:00Z', _metadata: { bundled: [] }, writeKey: 'k' }
    expect(payloadHash(resent, FIELDS)).toBe(payloadHash(message, FIELDS))
  })
})
