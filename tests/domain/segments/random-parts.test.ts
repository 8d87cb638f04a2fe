// The order in which everybody is looked at: each part once, in steps that stay small.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  afterPart,
  beginParts,
  nextPart,
  PEOPLE_A_STEP,
  shareOf,
} from '../../../domain/segments/random-parts.ts'

test('every slice of every bucket is met once, and a step holds what was meant', () => {
  const density = fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 5_000 }), fc.nat({ max: 60_000 }))
  fc.assert(
    fc.property(density, (peopleInABucket) => {
      let progress = beginParts(peopleInABucket)
      const slices = 2 ** progress.halvings
      const met = new Set<number>()
      let doubled = 0
      let share = 0
      let most = 0
      for (let part = nextPart(progress); part !== undefined; part = nextPart(progress)) {
        for (const bucket of part.buckets) {
          const place = part.slice * 1024 + bucket
          if (met.has(place)) doubled += 1
          met.add(place)
        }
        const people = (part.buckets.length * peopleInABucket) / slices
        most = Math.max(most, people)
        progress = afterPart(progress, part, Math.round(people))
        if (shareOf(progress) <= share) doubled += 1
        share = shareOf(progress)
      }
      expect([met.size, doubled, share]).toEqual([1024 * slices, 0, 1])
      expect(most).toBeLessThanOrEqual(PEOPLE_A_STEP + 1)
    }),
    { numRuns: 40 },
  )
})

test('it grows by no more than four times at a step, so that a first bucket with few people misleads nobody', () => {
  let progress = beginParts(0)
  const steps: number[] = []
  for (let part = nextPart(progress); part !== undefined && steps.length < 5; part = nextPart(progress)) {
    steps.push(part.buckets.length)
    progress = afterPart(progress, part, 0)
  }
  expect(steps).toEqual([1, 3, 12, 48, 192])
})
