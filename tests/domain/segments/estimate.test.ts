// The size of a segment from a part of everybody: right on average, and within its interval as often as it says.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRandom } from '../../../cli/demo/random.ts'
import { estimateSize } from '../../../domain/segments/estimate.ts'
import { afterPart, beginParts, nextPart, shareOf } from '../../../domain/segments/random-parts.ts'

test('of everybody it is exact', () => {
  expect(estimateSize({ found: 7, share: 1 })).toEqual({ members: 7, low: 7, high: 7 })
})

test('it never contradicts what was seen', () => {
  const share = fc.double({ min: 0.001, max: 1, noNaN: true })
  fc.assert(
    fc.property(fc.nat({ max: 1_000_000 }), share, (found, share) => {
      const { members, low, high } = estimateSize({ found, share })
      expect(low).toBeGreaterThanOrEqual(found)
      expect(members).toBeGreaterThanOrEqual(low)
      expect(high).toBeGreaterThanOrEqual(members)
    }),
  )
})

test.each([0.5, 0.05, 0.002])(
  'a segment of %f of 20,000 people lies in the interval about 95 times of 100',
  (size) => {
    const random = createRandom(7, `estimate ${size}`)
    const runs = 400
    let inside = 0
    let sum = 0
    for (let run = 0; run < runs; run++) {
      const people = 20_000
      const share = 0.1
      let members = 0
      let found = 0
      for (let i = 0; i < people; i++) {
        const fits = random.next() < size
        if (fits) members += 1
        if (random.next() >= share) continue
        if (fits) found += 1
      }
      const { low, high, members: told } = estimateSize({ found, share })
      if (members >= low && members <= high) inside += 1
      sum += told / members
    }
    expect(inside / runs).toBeGreaterThan(0.91)
    expect(sum / runs).toBeGreaterThan(0.93)
    expect(sum / runs).toBeLessThan(1.07)
  },
)

test.each([0.5, 0.05, 0.005])(
  'at each step of a walk through the buckets a segment of %f of 2,000 people is within its interval',
  (size) => {
    const random = createRandom(7, `walk ${size}`)
    const looks = new Map<number, { told: number; inside: number }>()
    for (let run = 0; run < 300; run++) {
      const buckets = Array.from({ length: 1024 }, (): boolean[] => [])
      let members = 0
      for (let i = 0; i < 2_000; i++) {
        const fits = random.next() < size
        if (fits) members += 1
        buckets[random.int(0, 1023)]?.push(fits)
      }
      let progress = beginParts(buckets[0]?.length ?? 0)
      let found = 0
      for (let part = nextPart(progress); part !== undefined; part = nextPart(progress)) {
        const people = part.buckets.flatMap((bucket) => buckets[bucket] ?? [])
        found += people.filter(Boolean).length
        progress = afterPart(progress, part, people.length)
        const { low, high } = estimateSize({ found, share: shareOf(progress) })
        const look = looks.get(progress.done) ?? { told: 0, inside: 0 }
        looks.set(progress.done, look)
        look.told += 1
        if (low <= members && members <= high) look.inside += 1
      }
      expect(found).toBe(members)
    }
    for (const [done, { told, inside }] of looks) expect([done, inside / told >= 0.93]).toEqual([done, true])
    expect(looks.size).toBeGreaterThan(4)
  },
)
