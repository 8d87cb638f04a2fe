// Running a BigQuery job under an id that follows from what it does: a process that died with the job under way left it
// running, and the next one waits for its end instead of running the same beside it.
import type { BigQuery, Job } from '@google-cloud/bigquery'
import { isJsonObject } from '../../domain/validate-json.ts'
import { httpStatusOf } from './bigquery-table.ts'

/** Each try of the same job takes the next number: an id can be used once, whatever became of it. */
const MAX_TRIES = 100

/** `refused` = BigQuery says that the data is bad (reason `invalid`); every other failure throws. */
export type JobEnd = 'done' | 'refused'

/** Starts the job and waits for its end. */
export async function runJob(
  client: BigQuery,
  id: string,
  start: (jobId: string) => Promise<Job>,
): Promise<JobEnd> {
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const jobId = attempt === 0 ? id : `${id}_${attempt}`
    let job: Job
    try {
      job = await start(jobId)
    } catch (error) {
      if (httpStatusOf(error) !== 409) throw error
      await endOf(client.job(jobId)).catch(() => {})
      continue
    }
    return endOf(job)
  }
  throw new Error(`BigQuery job ${id} was started ${MAX_TRIES} times`)
}

async function endOf(job: Job): Promise<JobEnd> {
  try {
    await job.promise()
    return 'done'
  } catch (error) {
    if (reasonOf(job.metadata) === 'invalid') return 'refused'
    throw error
  }
}

function reasonOf(metadata: unknown): unknown {
  const status = isJsonObject(metadata) ? metadata.status : undefined
  const result = isJsonObject(status) ? status.errorResult : undefined
  return isJsonObject(result) ? result.reason : undefined
}
