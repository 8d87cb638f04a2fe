// Gathers jobs into groups and puts each group wherever the configuration says; a job is acknowledged only after every
// place has confirmed its events. At least once: what fails in one place is put again in all (readers go by rowKey).
//
// Exits of a group: put everywhere -> done. An event that Pub/Sub refuses for good -> failed_events, the others are done.
// Anything else (outage, full disk, missing rights) -> handed back without spending attempts, however long it lasts.
import { join } from 'node:path'
import { describeError, RetryLater } from '../../runtime/errors.ts'
import type { NormalBatch } from '../../schema/event.ts'
import { coalesceJobs, type JobGroups } from '../coalesce.ts'
import { openBigQuery } from './bigquery.ts'
import { openFiles } from './files.ts'
import { openPublisher } from './pubsub.ts'
import type { ArchiveDeps, Sink } from './sink.ts'

/** Events of one file or one round of publishing. */
const GROUP_EVENTS = 5000
/** How long the first job of a group waits for others: files should not be tiny. */
const GATHER_MS = 1000
const HAND_BACK_MS = { least: 1000, most: 5000 }
const WARN_EVERY_MS = 30_000

export async function openArchiver(deps: ArchiveDeps): Promise<JobGroups<NormalBatch>> {
  const sinks = await openSinks(deps)
  const handBack = createHandBack(deps)
  // When all jobs that this process may hold are waiting here, no other will come: each weighs at least its share.
  const leastWeight = Math.ceil(GROUP_EVENTS / deps.concurrency)
  const groups = coalesceJobs<NormalBatch>(
    {
      weigh: (batch) => Math.max(batch.events.length, leastWeight),
      maxWeight: GROUP_EVENTS,
      maxWaitMs: GATHER_MS,
      // One after the other, so that events of one ordering key are published in the order of the queue.
      parallel: 1,
    },
    async (batches) => {
      const results = await Promise.allSettled(sinks.map((sink) => sink.put(batches)))
      for (const result of results) if (result.status === 'rejected') throw handBack(result.reason)
      const events = batches.reduce((sum, batch) => sum + batch.events.length, 0)
      deps.metrics.events.inc({ stage: 'archive', verdict: 'archived' }, events)
    },
  )
  return {
    add: groups.add,
    async close() {
      await groups.close()
      await Promise.all(sinks.map((sink) => sink.close()))
    },
  }
}

/** Pub/Sub and BigQuery where configured, local files otherwise. */
async function openSinks(deps: ArchiveDeps): Promise<Sink[]> {
  const { config } = deps
  const sinks: Sink[] = []
  if (config.pubsubProject !== '') sinks.push(await openPublisher(deps))
  if (config.bigqueryProject !== '') sinks.push(await openBigQuery(deps))
  if (sinks.length === 0) sinks.push(await openFiles(join(config.dataDir, 'archive')))
  return sinks
}

/** Turns the failure of a sink into "later", and says so in the log now and then. */
function createHandBack(deps: ArchiveDeps): (error: unknown) => RetryLater {
  let lastWarnedAt = 0
  return (error) => {
    const why = describeError(error)
    if (deps.clock.now() - lastWarnedAt > WARN_EVERY_MS) {
      lastWarnedAt = deps.clock.now()
      deps.log.warn({ pool: 'archive', why }, 'cannot archive now; the events wait on the queue')
    }
    const { least, most } = HAND_BACK_MS
    return new RetryLater(least + Math.random() * (most - least), why)
  }
}
