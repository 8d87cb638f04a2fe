// archive: every normalised event to Google Pub/Sub and BigQuery where they are configured, else to files.
import { archive } from '../../queues/pipeline.ts'
import { beginAtZero } from '../../runtime/instruments.ts'
import { definePool } from '../define.ts'
import { openArchiver } from './archiver.ts'

export const archivePool = definePool({
  name: 'archive',
  consumes: archive,
  produces: [],
  // Many jobs share one file or one round of publishing: concurrency bounds what one process holds.
  work: { concurrency: 60, timeoutMs: 120_000 },
  open(deps) {
    beginAtZero(deps.metrics.events, { stage: ['archive'], verdict: ['archived', 'failed'] })
    return openArchiver(deps)
  },
  handle: (batch, archiver) => archiver.add(batch),
  close: (archiver) => archiver.close(),
})
