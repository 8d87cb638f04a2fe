// deliver: one message to one person on one channel, claimed before it is sent and never sent twice for one key.
import { deliver, ingest, persist } from '../../queues/pipeline.ts'
import { beginAtZero } from '../../runtime/instruments.ts'
import { CHANNELS } from '../../schema/jobs.ts'
import { definePool } from '../define.ts'
import { createSegmentCatalog } from '../live-segments.ts'
import { deliverOne, OUTCOMES } from './deliver.ts'
import { openProviders } from './providers.ts'

export const deliverPool = definePool({
  name: 'deliver',
  consumes: deliver,
  produces: [],
  // While events are on their way, an address may be among them.
  watches: [ingest, persist],
  work: { concurrency: 20, timeoutMs: 25_000 },
  open(deps) {
    beginAtZero(deps.metrics.deliveries, { channel: CHANNELS, outcome: OUTCOMES })
    return { deps, providers: openProviders(deps.config), catalog: createSegmentCatalog() }
  },
  handle: (job, { deps, ...open }, info) => deliverOne(job, info, deps, open),
  close: ({ providers }) => providers.close(),
})
