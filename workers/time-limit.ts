// The time limit of a job: the handler is told by its signal, and the job does not wait for one that does not listen. Called
// by run.ts.
import { fail } from '../runtime/errors.ts'

/** Throws `job_timeout` after `timeoutMs`; the signal also says when the process stops. */
export async function withTimeLimit<T>(
  timeoutMs: number,
  stopping: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = fail('job_timeout', `handler ran longer than ${timeoutMs} ms`)
      limit.abort(error)
      reject(error)
    }, timeoutMs)
  })
  try {
    return await Promise.race([work(AbortSignal.any([limit.signal, stopping])), late])
  } finally {
    clearTimeout(timer)
  }
}
