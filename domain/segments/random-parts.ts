// Everybody in parts that are looked at one after the other, in an order that has nothing to do with what people are like:
// what was looked at so far is a random sample of all, and after the last part it is all. A part is a bucket or, where many
// share one, a slice of it by a hash of their numbers, so that a step stays small. Pure.
import { BUCKETS } from '../buckets.ts'

/** About so many people are looked at in one step; also in one statement. */
export const PEOPLE_A_STEP = 2_000

/** Each bucket is cut in two so often, at the most. */
export const MOST_HALVINGS = 10

/** Of 1,024 × 2^`halvings` parts the first `done` were looked at, and `people` in them: all that it takes to go on. */
export type Progress = { halvings: number; done: number; people: number }

/** Some buckets, and of each the slice `slice` of `slices`. */
export type Part = { buckets: number[]; slice: number; slices: number }

/** Buckets follow from a hash of people's ids, so any fixed order is random; in this one the first are far from each other. */
const ORDER = Array.from({ length: BUCKETS }, (_, i) => (i * 397) % BUCKETS)

/** `peopleInABucket` = in any one of them: they are alike large. */
export function beginParts(peopleInABucket: number): Progress {
  let halvings = 0
  while (halvings < MOST_HALVINGS && peopleInABucket > PEOPLE_A_STEP * 2 ** halvings) halvings += 1
  return { halvings, done: 0, people: 0 }
}

/**
 * What comes next: as many parts as make a step, by how many people were in those before, and at most three times as many
 * as these. Undefined when everybody was looked at.
 */
export function nextPart({ halvings, done, people }: Progress): Part | undefined {
  const slices = 2 ** halvings
  if (done >= slices * BUCKETS) return undefined
  const first = done % BUCKETS
  const fitting = Math.floor((PEOPLE_A_STEP * done) / Math.max(1, people))
  const count = Math.max(1, Math.min(3 * done, fitting))
  return { buckets: ORDER.slice(first, first + count), slice: Math.floor(done / BUCKETS), slices }
}

export function afterPart(progress: Progress, part: Part, people: number): Progress {
  return { ...progress, done: progress.done + part.buckets.length, people: progress.people + people }
}

/** 0 to 1. */
export function shareOf({ halvings, done }: Progress): number {
  return Math.min(1, done / (BUCKETS * 2 ** halvings))
}
