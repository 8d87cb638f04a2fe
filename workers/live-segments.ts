// The segments that are evaluated as a process remembers them, and what they ask for: read anew when their generation has changed, which
// every reader looks at first, so that new and edited rules are picked up at once. Used by segment, persist and deliver.

import { segmentsGeneration } from '../store/segment-generation.ts'
import { evaluatedSegments } from '../store/segments.ts'
import type { Queryable } from '../store/sql.ts'
import { type EvaluatedSegments, type Questions, questionsOf } from './segment-questions.ts'

export type SegmentCatalog = {
  /** One small read a call. */
  current(sql: Queryable): Promise<EvaluatedSegments>
  /** Of all of them, or of those with the numbers in `only`; another small read. */
  questions(sql: Queryable, only?: ReadonlySet<number>): Promise<Questions>
}

export function createSegmentCatalog(): SegmentCatalog {
  let known: EvaluatedSegments | undefined
  let asked: { of: EvaluatedSegments; questions: Questions } | undefined
  const current = async (sql: Queryable) => {
    const generation = await segmentsGeneration(sql)
    if (known?.generation !== generation) known = { generation, segments: await evaluatedSegments(sql) }
    return known
  }
  return {
    current,
    async questions(sql, only) {
      const all = await current(sql)
      if (only !== undefined) return questionsOf(all, only)
      if (asked?.of !== all) asked = { of: all, questions: questionsOf(all) }
      return asked.questions
    },
  }
}
