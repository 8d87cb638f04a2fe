// Partitions made ahead of time and dropped when they are past retention, and the rows that go with them.
import { BUCKET_RANGES } from '../../domain/buckets.ts'
import { weekOf } from '../../store/events.ts'
import {
  dropOrphan,
  dropPartition,
  makePartitions,
  oldestAccepted,
  orphanedPartitions,
  partitionsBefore,
} from '../../store/partitions.ts'
import {
  deleteIdempotencyKeysBefore,
  deleteMessageIdsBefore,
  deleteResolvedFailuresBefore,
} from '../../store/retention.ts'
import { type Counts, deleteRunsBefore } from '../../store/schedule-runs.ts'
import { deleteDriftBefore } from '../../store/segment-drift.ts'
import { deletePassesBefore } from '../../store/segment-passes.ts'
import type { Sql } from '../../store/sql.ts'
import type { ScheduleDeps } from './deps.ts'

const DAY_MS = 86_400_000
const WEEK_MS = 7 * DAY_MS
const SLICE_ROWS = 10_000
const FAILURES_KEPT_DAYS = 30
const DRIFT_KEPT_DAYS = 30
const RUNS_KEPT_DAYS = 90
const FREQUENT_RUNS_KEPT_DAYS = 2
const PASSES_KEPT_DAYS = 2

/** This week and those ahead, so that no event waits for a partition when a week begins. */
export async function makePartitionsAhead({ servers, clock, config }: ScheduleDeps): Promise<Counts> {
  const weeks: string[] = []
  for (let ahead = 0; ahead <= config.partitionsAheadWeeks; ahead++) {
    weeks.push(weekOf(clock.now() + ahead * WEEK_MS))
  }
  let made = 0
  for (const sql of servers.all) made += await makePartitions(sql, weeks)
  return { made, checked: weeks.length * BUCKET_RANGES * servers.all.length }
}

/**
 * Drops what is older than the retention of the deployment, except for history that a source was allowed to import
 * (`acceptEventsSince`): what an operator asked for is not deleted the next night.
 */
export async function applyRetention(deps: ScheduleDeps, signal: AbortSignal): Promise<Counts> {
  const { sql, servers, config } = deps
  const now = deps.clock.now()
  const limit = now - config.retentionDays * DAY_MS
  const accepted = (await oldestAccepted(sql))?.getTime() ?? limit
  const before = new Date(Math.min(limit, accepted))
  let partitions = 0
  for (const server of servers.all) partitions += await dropPartitions(server, before, signal)
  // A week later than the events: while a row lives in a partition that is only partly past, so does its message id.
  let messageIds = 0
  let passes = 0
  for (const server of servers.all) {
    messageIds += await deleteInSlices(signal, () =>
      deleteMessageIdsBefore(server, new Date(before.getTime() - WEEK_MS), SLICE_ROWS),
    )
    passes += await deleteInSlices(signal, () =>
      deletePassesBefore(server, new Date(now - PASSES_KEPT_DAYS * DAY_MS), SLICE_ROWS),
    )
  }
  const runs =
    (await deleteRunsBefore(sql, new Date(now - RUNS_KEPT_DAYS * DAY_MS))) +
    (await deleteRunsBefore(sql, new Date(now - FREQUENT_RUNS_KEPT_DAYS * DAY_MS), [
      'sweep',
      'segment-timers',
    ]))
  return {
    partitions,
    messageIds,
    passes,
    runs,
    idempotencyKeys: await deleteIdempotencyKeysBefore(sql, new Date(now - DAY_MS)),
    drift: await deleteDriftBefore(sql, new Date(now - DRIFT_KEPT_DAYS * DAY_MS)),
    failedEvents: await deleteResolvedFailuresBefore(sql, new Date(now - FAILURES_KEPT_DAYS * DAY_MS)),
  }
}

async function dropPartitions(sql: Sql, before: Date, signal: AbortSignal): Promise<number> {
  let dropped = 0
  for (const partition of await partitionsBefore(sql, before)) {
    signal.throwIfAborted()
    await dropPartition(sql, partition)
    dropped++
  }
  for (const name of await orphanedPartitions(sql, before)) {
    await dropOrphan(sql, name)
    dropped++
  }
  return dropped
}

async function deleteInSlices(signal: AbortSignal, deleteSlice: () => Promise<number>): Promise<number> {
  let total = 0
  for (;;) {
    signal.throwIfAborted()
    const deleted = await deleteSlice()
    total += deleted
    if (deleted < SLICE_ROWS) return total
  }
}
