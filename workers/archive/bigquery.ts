// Archiving into BigQuery: events are staged in local files first (a job is acknowledged when its file is durable), and
// a pass every few minutes loads them by a load job and a MERGE. Load jobs rather than streaming: they are free, and
// streamed rows refuse DML for up to 90 minutes. The SDK is loaded only here.
import { join } from 'node:path'
import type { BigQuery } from '@google-cloud/bigquery'
import type { Config } from '../../runtime/config.ts'
import { describeError } from '../../runtime/errors.ts'
import type { NormalEvent } from '../../schema/event.ts'
import { withLoadLock } from '../../store/archive.ts'
import { type Loader, loadStaged } from './bigquery-load.ts'
import { ensureEventsTable } from './bigquery-table.ts'
import { removeLeftovers, writeDurably } from './durable-file.ts'
import { gzipLines, keyOf } from './files.ts'
import type { ArchiveDeps, Sink } from './sink.ts'
import { stagedName } from './staged-files.ts'

export async function openBigQuery(deps: ArchiveDeps): Promise<Sink> {
  const dir = join(deps.config.dataDir, 'archive-staging')
  const asideDir = join(dir, 'unfinished')
  await removeLeftovers(asideDir)
  const loads = startLoads(deps, dir)
  return {
    async put(batches) {
      const events = batches.flatMap((batch) => batch.events)
      const path = join(dir, stagedName(keyOf(batches), timesOf(events)))
      await writeDurably(path, asideDir, await gzipLines(events))
    },
    close: () => loads.stop(),
  }
}

/** One pass at a time; a pass that fails leaves its files to the next. Stops after the pass under way. */
function startLoads(deps: ArchiveDeps, dir: string): { stop(): Promise<void> } {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let loader: Loader | undefined
  let pass: Promise<void> = Promise.resolve()
  const run = async () => {
    try {
      await withLoadLock(deps.sql, async () => {
        loader ??= await openLoader(deps, dir)
        await loadStaged(loader, () => stopped)
      })
    } catch (error) {
      deps.log.warn({ pool: 'archive', why: describeError(error) }, 'BigQuery load failed; its files wait')
    }
    if (!stopped) schedule()
  }
  const schedule = () => {
    timer = setTimeout(() => {
      pass = run()
    }, deps.config.bigqueryLoadMs)
  }
  schedule()
  return {
    async stop() {
      stopped = true
      clearTimeout(timer)
      await pass
    },
  }
}

async function openLoader(deps: ArchiveDeps, dir: string): Promise<Loader> {
  const { config, clock, log, metrics } = deps
  const client = await connect(config)
  await ensureEventsTable(client.dataset(config.bigqueryDataset))
  const [metadata] = await client.dataset(config.bigqueryDataset).getMetadata()
  const location: string | undefined = typeof metadata.location === 'string' ? metadata.location : undefined
  // Jobs are looked up where they run, which is where the dataset is.
  if (location !== undefined) client.location = location
  const dataset = client.dataset(config.bigqueryDataset, location === undefined ? {} : { location })
  return { client, dataset, dir, clock, log, metrics }
}

async function connect(config: Config): Promise<BigQuery> {
  const { BigQuery } = await import('@google-cloud/bigquery')
  if (config.bigqueryEndpoint === '') return new BigQuery({ projectId: config.bigqueryProject })
  // On another endpoint the client sends no credentials and then fails to upload: it is given a token nobody checks.
  const { OAuth2Client } = await import('google-auth-library')
  const authClient = new OAuth2Client()
  authClient.setCredentials({ access_token: 'local', expiry_date: Date.now() + 365 * 86_400_000 })
  const options = { projectId: config.bigqueryProject, apiEndpoint: config.bigqueryEndpoint, authClient }
  // The client reads the last one, its types do not name it.
  return new BigQuery(Object.assign(options, { useAuthWithCustomEndpoint: true }))
}

function timesOf(events: NormalEvent[]): { fromMs: number; toMs: number } {
  let fromMs = Number.POSITIVE_INFINITY
  let toMs = Number.NEGATIVE_INFINITY
  for (const { time } of events) {
    fromMs = Math.min(fromMs, time)
    toMs = Math.max(toMs, time)
  }
  return { fromMs, toMs }
}
