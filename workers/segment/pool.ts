// segment: touched profiles of a shard -> entries and exits with their reasons -> messages that campaigns make of them.
import { deliver, segment } from '../../queues/pipeline.ts'
import { definePool } from '../define.ts'
import { openSegmenter } from './segmenter.ts'

export const segmentPool = definePool({
  name: 'segment',
  consumes: segment,
  // Itself: whoever has evaluated a chunk of a run sends the next one.
  produces: [deliver, segment],
  // Changes that a full channel cannot take stay unannounced; the sweep sends them later.
  neverWaitsFor: [deliver, segment],
  work: { concurrency: 50, timeoutMs: 60_000 },
  open: (deps) => openSegmenter(deps),
  handle: (batch, segmenter) => segmenter.add(batch),
  close: (segmenter) => segmenter.close(),
})
