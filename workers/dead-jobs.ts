// Jobs that were given up as rows of failed_events: recorded when they die, or later by whoever finds one that is not
// (the sweep, `millrace replay`). All agree on the key, so a job is recorded once.
import type { RedisClient } from '../queues/connection.ts'
import { deadJobIds, deadJobKey, readDeadJobs } from '../queues/dead-jobs.ts'
import { queueNames } from '../queues/define.ts'
import { PIPELINE } from '../queues/pipeline.ts'
import { ERRORS, type ErrorCode } from '../runtime/errors.ts'
import { type FailedEvent, recordFailedEvents, unrecordedKeys } from '../store/failed-events.ts'
import type { Sql } from '../store/sql.ts'

/** Payloads of dead jobs may be 100 KB each. */
const READ_AT_ONCE = 20
const LOOKED_AT = 1_000

export function deadJobRow(dead: {
  pool: string
  lane: string
  jobId: string
  payload: unknown
  reason: string
}): FailedEvent {
  return {
    failedKey: deadJobKey(dead.lane, dead.jobId),
    stage: dead.pool,
    code: codeOf(dead.reason),
    reason: dead.reason,
    payload: JSON.stringify(dead.payload),
  }
}

/** Reasons of our own errors begin with their code. */
function codeOf(reason: string): ErrorCode {
  if (reason.includes('stalled more than')) return 'job_stalled'
  const code = reason.split(':')[0] ?? ''
  return isErrorCode(code) ? code : 'internal'
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text)
}

/** Looks at the oldest failed jobs of every queue that keeps them and records those that no row tells of; returns how many. */
export async function recordDeadJobs(options: {
  redis: RedisClient
  namespace: string
  shards: number
  sql: Sql
  signal?: AbortSignal
}): Promise<number> {
  const { redis, namespace, sql } = options
  let recorded = 0
  for (const contract of PIPELINE.filter((candidate) => candidate.insert.keepFailed)) {
    for (const lane of queueNames(contract, options.shards)) {
      const jobIds = await deadJobIds(redis, namespace, lane, LOOKED_AT)
      const keys = await unrecordedKeys(
        sql,
        jobIds.map((jobId) => deadJobKey(lane, jobId)),
      )
      const missing = new Set(keys)
      const unrecorded = jobIds.filter((jobId) => missing.has(deadJobKey(lane, jobId)))
      for (let from = 0; from < unrecorded.length; from += READ_AT_ONCE) {
        options.signal?.throwIfAborted()
        const jobs = await readDeadJobs(redis, namespace, lane, unrecorded.slice(from, from + READ_AT_ONCE))
        recorded += await recordFailedEvents(
          sql,
          jobs.map((job) => deadJobRow({ pool: contract.name, lane, ...job })),
        )
      }
    }
  }
  return recorded
}
