// Segments whose draft was published, or taken back, while not everybody whom that moves has been evaluated: who is in is not yet
// what Postgres has, for readers (api/served-segments.ts) and for passes that look at other rules.
import { askedBySegment } from '../domain/segments/references.ts'
import type { LiveSegment } from './segments.ts'

/** Itself; one that asks for it is so too, which `swappingOf` says. */
export function isSwapping({ segmentId, building }: LiveSegment): boolean {
  return segmentId > 0 && building?.source === 'difference'
}

/** Numbers of the live ones, with those that ask for them. */
export function swappingOf(segments: LiveSegment[]): ReadonlySet<number> {
  if (!segments.some(isSwapping)) return new Set()
  const all = askedBySegment(segments.filter((one) => one.segmentId > 0))
  return new Set([...all].filter(([, asked]) => asked.some(isSwapping)).map(([one]) => one.segmentId))
}
