// A job that was given up as a row of failed_events. Used by the executor's recorder and by the sweep, which must agree
// on the key so that a job is recorded once. Pure.
import { ERRORS, type ErrorCode } from '../runtime/errors.ts'
import type { FailedEvent } from '../store/failed-events.ts'

export function deadJobKey(lane: string, jobId: string): string {
  return `job-${lane}-${jobId}`
}

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
