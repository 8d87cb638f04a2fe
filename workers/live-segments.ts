// The segments that are evaluated as a process remembers them: read anew when their generation has changed, which every reader looks at
// first, so that new and edited rules are picked up at once. Used by the passes of segment and by persist.

import { evaluatedSegments, type LiveSegment, segmentsGeneration } from '../store/segments.ts'
import type { Queryable } from '../store/sql.ts'

/** One small read a call. */
export type SegmentCatalog = { current(sql: Queryable): Promise<LiveSegment[]> }

export function createSegmentCatalog(): SegmentCatalog {
  let generation = ''
  let segments: LiveSegment[] = []
  return {
    async current(sql) {
      const newest = await segmentsGeneration(sql)
      if (newest !== generation) {
        segments = await evaluatedSegments(sql)
        generation = newest
      }
      return segments
    },
  }
}
