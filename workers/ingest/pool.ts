// ingest: requests as they were accepted -> events in the one form -> persist and archive.
import { archive, ingest, persist } from '../../queues/pipeline.ts'
import { beginAtZero } from '../../runtime/instruments.ts'
import { definePool } from '../define.ts'
import { ingestBatch } from './ingest.ts'

export const ingestPool = definePool({
  name: 'ingest',
  consumes: ingest,
  produces: [persist, archive],
  // A slow archive must not hold events back: over its budget a gap is recorded and filled later.
  neverWaitsFor: [archive],
  work: { concurrency: 8, timeoutMs: 30_000 },
  open(deps) {
    beginAtZero(deps.metrics.events, { stage: ['ingest'], verdict: ['normalised', 'failed'] })
    return deps
  },
  handle: (batch, deps) => ingestBatch(batch, deps),
})
