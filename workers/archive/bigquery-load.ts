// One load pass: staged files -> one upload -> staging table -> MERGE on the row key -> files gone. Safe to run again
// from any point: the staging table is overwritten, the MERGE adds what is missing, files go last. Called under the lock.
//
// A file that BigQuery refuses is found by halving; it is loaded without its bad lines and kept in `refused/`.
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BigQuery, Dataset, Job } from '@google-cloud/bigquery'
import type { Clock } from '../../runtime/clock.ts'
import type { Log } from '../../runtime/log.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import { type JobEnd, runJob } from './bigquery-jobs.ts'
import { LOAD_FORMAT, makeStagingTable, mergeStatement } from './bigquery-table.ts'
import { bundle, listStaged, loadKey, type StagedFile, spanOf } from './staged-files.ts'

export type Loader = {
  client: BigQuery
  dataset: Dataset
  /** Of the staged files. */
  dir: string
  clock: Clock
  log: Log
  metrics: Metrics
}

/** Loads until nothing is staged or `stopped`; returns how many files are in BigQuery now. */
export async function loadStaged(loader: Loader, stopped: () => boolean): Promise<number> {
  let loaded = 0
  while (!stopped()) {
    const files = await listStaged(loader.dir)
    if (files.length === 0) break
    await loadFiles(loader, files)
    loaded += files.length
  }
  return loaded
}

async function loadFiles(loader: Loader, files: StagedFile[]): Promise<void> {
  if ((await loadAndMerge(loader, files, 0)) === 'done') {
    for (const file of files) await rm(file.path)
    return
  }
  const [only] = files
  if (files.length > 1 || only === undefined) {
    const middle = Math.ceil(files.length / 2)
    await loadFiles(loader, files.slice(0, middle))
    await loadFiles(loader, files.slice(middle))
    return
  }
  const rest = await loadAndMerge(loader, files, Number.MAX_SAFE_INTEGER)
  const refused = join(loader.dir, 'refused')
  await mkdir(refused, { recursive: true })
  await rename(only.path, join(refused, only.name))
  loader.metrics.events.inc({ stage: 'archive', verdict: 'failed' })
  loader.log.error(
    { file: only.name, rest },
    'BigQuery refused lines of a staged file; it is kept in refused/',
  )
}

async function loadAndMerge(loader: Loader, files: StagedFile[], maxBadRecords: number): Promise<JobEnd> {
  const { client, dataset, dir } = loader
  const key = `${loadKey(files)}${maxBadRecords === 0 ? '' : '_rest'}`
  const name = `staging_${key}`
  const upload = join(dir, `upload_${key}.gz`)
  await bundle(files, upload)
  try {
    await makeStagingTable(dataset, name, loader.clock.now())
    const staging = dataset.table(name)
    const end = await runJob(client, `millrace_load_${key}`, async (jobId) => {
      const [job] = await staging.createLoadJob(upload, { ...LOAD_FORMAT, maxBadRecords, jobId })
      return job
    })
    if (end === 'done') {
      const query = mergeStatement(dataset.id ?? '', name, spanOf(files))
      await runJob(client, `millrace_merge_${key}`, (jobId) => startQuery(client, query, jobId))
    }
    await staging.delete({ ignoreNotFound: true })
    return end
  } finally {
    await rm(upload, { force: true })
  }
}

async function startQuery(client: BigQuery, query: string, jobId: string): Promise<Job> {
  const [job] = await client.createQueryJob({ query, jobId })
  return job
}
