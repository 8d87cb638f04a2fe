// Gathers jobs and puts them where the configuration says; a job is acknowledged only after Pub/Sub has confirmed every
// event of it, or its file is durable.
import { join } from 'node:path'
import type { QueueContract } from '../../queues/define.ts'
import { coalesce } from '../../runtime/coalesce.ts'
import type { NormalBatch } from '../../schema/event.ts'
import type { PoolDeps } from '../define.ts'
import { startLoads } from './bigquery.ts'
import { writeArchiveFiles } from './files.ts'
import { openPublisher } from './pubsub.ts'

export type Archiver = { add(batch: NormalBatch): Promise<void>; close(): Promise<void> }

const GROUP_EVENTS = 5000
const GATHER_MS = 1000

export async function openArchiver(deps: PoolDeps<QueueContract>): Promise<Archiver> {
  const { config, metrics, log, sql } = deps
  const dir = join(config.dataDir, 'archive')
  const publisher = config.pubsubProject === '' ? undefined : await openPublisher(config)
  const loads = config.bigqueryProject === '' ? undefined : await startLoads({ config, sql, log, dir })
  const toFiles = publisher === undefined || loads !== undefined
  const coalescer = coalesce<NormalBatch>({
    maxWeight: GROUP_EVENTS,
    maxWaitMs: publisher === undefined ? GATHER_MS : 50,
    parallel: 1,
    flush: async (batches) => {
      await Promise.all([
        publisher?.publish(batches.flatMap((batch) => batch.events)),
        toFiles ? writeArchiveFiles(dir, batches) : undefined,
      ])
      const events = batches.reduce((sum, batch) => sum + batch.events.length, 0)
      metrics.events.inc(
        { stage: 'archive', verdict: publisher === undefined ? 'written' : 'published' },
        events,
      )
    },
  })
  return {
    add: (batch) => coalescer.add(batch, batch.events.length),
    async close() {
      await coalescer.close()
      await loads?.stop()
      await publisher?.close()
    },
  }
}
