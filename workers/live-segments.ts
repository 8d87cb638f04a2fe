// The segments that are evaluated as a process remembers them: read anew when their generation has changed, which every reader looks at
// first, so that new and edited rules are picked up at once. Used by the passes of segment and by persist.

import { segmentsGeneration } from '../store/segment-generation.ts'
import { evaluatedSegments, type LiveSegment } from '../store/segments.ts'
import type { Queryable } from '../store/sql.ts'

/** `segments` are those of the generation, or newer. */
export type EvaluatedSegments = { generation: number; segments: LiveSegment[] }
/** One small read a call. */
export type SegmentCatalog = { current(sql: Queryable): Promise<EvaluatedSegments> }

export function createSegmentCatalog(): SegmentCatalog {
  let known: EvaluatedSegments | undefined
  return {
    async current(sql) {
      const generation = await segmentsGeneration(sql)
      if (known?.generation !== generation) known = { generation, segments: await evaluatedSegments(sql) }
      return known
    },
  }
}
