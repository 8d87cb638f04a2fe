// Loading archive files into BigQuery: a load job into a staging table, then one MERGE on the row key, so that loading a
// file again adds nothing. Job ids follow from the file, so a repeated load job is the same job. One process loads at a
// time (a lock in Postgres). Load jobs rather than streaming: streamed rows refuse DML for up to 90 minutes.
import { createHash } from 'node:crypto'
import { readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { BigQuery } from '@google-cloud/bigquery'
import type { Config } from '../../runtime/config.ts'
import { describeError } from '../../runtime/errors.ts'
import type { Log } from '../../runtime/log.ts'
import { withLoadLock } from '../../store/archive.ts'
import type { Sql } from '../../store/sql.ts'

const LOAD_EVERY_MS = 60_000
const MAX_FILES_A_LOAD = 100
const COLUMNS = [
  'rowKey',
  'messageId',
  'type',
  'event',
  'userId',
  'anonymousId',
  'timestamp',
  'receivedAt',
  'sourceId',
  'value',
  'currency',
  'marks',
  'properties',
  'context',
]
const SCHEMA = [
  { name: 'rowKey', type: 'STRING', mode: 'REQUIRED' },
  { name: 'messageId', type: 'STRING' },
  { name: 'type', type: 'STRING' },
  { name: 'event', type: 'STRING' },
  { name: 'userId', type: 'STRING' },
  { name: 'anonymousId', type: 'STRING' },
  { name: 'timestamp', type: 'TIMESTAMP', mode: 'REQUIRED' },
  { name: 'receivedAt', type: 'TIMESTAMP' },
  { name: 'sourceId', type: 'INTEGER' },
  { name: 'value', type: 'INTEGER' },
  { name: 'currency', type: 'STRING' },
  { name: 'marks', type: 'INTEGER' },
  { name: 'properties', type: 'JSON' },
  { name: 'context', type: 'JSON' },
]

/** Loads what is pending every minute until stopped. */
export async function startLoads(options: {
  config: Config
  sql: Sql
  log: Log
  dir: string
}): Promise<{ stop(): Promise<void> }> {
  const client = await connect(options.config)
  let stopped = false
  let pass: Promise<unknown> = Promise.resolve()
  const tick = () => {
    pass = loadPending(client, options).catch((error: unknown) => {
      options.log.warn({ reason: describeError(error) }, 'BigQuery load failed; the files stay for the next')
    })
  }
  const timer = setInterval(() => {
    if (!stopped) tick()
  }, LOAD_EVERY_MS)
  tick()
  return {
    async stop() {
      stopped = true
      clearInterval(timer)
      await pass
    },
  }
}

export async function connect(config: Config): Promise<BigQuery> {
  const { BigQuery } = await import('@google-cloud/bigquery')
  if (config.bigqueryEndpoint === '') return new BigQuery({ projectId: config.bigqueryProject })
  const { OAuth2Client } = await import('google-auth-library')
  // A custom endpoint without credentials crashes `table.load`; a token that is never checked avoids that.
  const authClient = new OAuth2Client()
  authClient.setCredentials({ access_token: 'local', expiry_date: Date.now() + 86_400_000 })
  const options = { projectId: config.bigqueryProject, apiEndpoint: config.bigqueryEndpoint, authClient }
  // The client reads this, its types do not name it.
  return new BigQuery(Object.assign(options, { useAuthWithCustomEndpoint: true }))
}

/** Loads all files that are not loaded yet; a loaded one is renamed. Returns how many were loaded. */
export async function loadPending(
  client: BigQuery,
  options: { config: Config; sql: Sql; dir: string },
): Promise<number> {
  const loaded = await withLoadLock(options.sql, async () => {
    await ensureTable(client, options.config.bigqueryDataset)
    const files = (await pendingFiles(options.dir)).slice(0, MAX_FILES_A_LOAD)
    for (const file of files)
      await loadFile(client, { file, dataset: options.config.bigqueryDataset, target: 'events' })
    return files.length
  })
  return loaded ?? 0
}

/** Partitioned by day and clustered by event and user: what analysts filter by. */
async function ensureTable(client: BigQuery, datasetName: string): Promise<void> {
  const dataset = client.dataset(datasetName)
  const [hasDataset] = await dataset.exists()
  if (!hasDataset) await client.createDataset(datasetName)
  const [hasTable] = await dataset.table('events').exists()
  if (hasTable) return
  await dataset.createTable('events', {
    schema: { fields: SCHEMA },
    timePartitioning: { type: 'DAY', field: 'timestamp' },
    clustering: { fields: ['event', 'userId'] },
  })
}

async function loadFile(
  client: BigQuery,
  load: { file: string; dataset: string; target: string },
): Promise<void> {
  const key = createHash('sha256').update(load.file).digest('hex').slice(0, 24)
  const staging = client.dataset(load.dataset).table(`staging_${key}`)
  const [job] = await staging.load(load.file, {
    jobId: `millrace-load-${key}-${Date.now().toString(36)}`,
    sourceFormat: 'NEWLINE_DELIMITED_JSON',
    schema: { fields: SCHEMA },
    writeDisposition: 'WRITE_TRUNCATE',
  })
  const problem = job.status?.errorResult
  if (problem !== undefined) throw new Error(`load job failed: ${problem.reason ?? 'unknown'}`)
  await client.query(mergeStatement(load.dataset, `staging_${key}`, load.target))
  await staging.delete({ ignoreNotFound: true })
  await rename(load.file, `${load.file}.loaded`)
}

/** Identifiers are our own constants and hashes; nothing of an event is part of the statement. */
export function mergeStatement(dataset: string, staging: string, target: string): string {
  const columns = COLUMNS.map((name) => `\`${name}\``).join(', ')
  return `merge \`${dataset}.${target}\` t
using (select * from \`${dataset}.${staging}\` where true qualify row_number() over (partition by rowKey order by receivedAt) = 1) s
on t.rowKey = s.rowKey and t.timestamp = s.timestamp
when not matched then insert (${columns}) values (${columns})`
}

async function pendingFiles(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true }).catch(() => [])
  return entries
    .filter((name) => name.endsWith('.ndjson.gz'))
    .map((name) => join(dir, name))
    .sort()
}
