// What the archiver needs of a place that events are archived in: files, Pub/Sub and BigQuery are such places.
import type { QueueContract } from '../../queues/define.ts'
import type { NormalBatch } from '../../schema/event.ts'
import type { PoolDeps } from '../define.ts'

/** One place that events are archived in. `put` resolves when all of them are safe there. */
export type Sink = {
  put(batches: NormalBatch[]): Promise<void>
  close(): Promise<void>
}

export type ArchiveDeps = PoolDeps<QueueContract>
