// The BigQuery side of the archive form: columns, table, and the statement that brings a staged load in. Partitioned by
// day and clustered by event and user: what analysts filter by.
import type { Dataset } from '@google-cloud/bigquery'

export const EVENTS_TABLE = 'events'
/** A staging table that a crash left behind goes by itself. */
const STAGING_LIFE_MS = 86_400_000
/** A message without a time of its own has another one each time it is sent: copies are looked for this far around. */
const COPIES_WITHIN_MS = 2 * 86_400_000

/** Fields of schema/archive-record.ts; what else a sender put on a message is in files and topics only. */
const COLUMNS = [
  { name: 'rowKey', type: 'STRING', mode: 'REQUIRED' },
  { name: 'messageId', type: 'STRING' },
  { name: 'type', type: 'STRING' },
  { name: 'event', type: 'STRING' },
  { name: 'name', type: 'STRING' },
  { name: 'userId', type: 'STRING' },
  { name: 'anonymousId', type: 'STRING' },
  { name: 'previousId', type: 'STRING' },
  { name: 'groupId', type: 'STRING' },
  { name: 'timestamp', type: 'TIMESTAMP', mode: 'REQUIRED' },
  { name: 'receivedAt', type: 'TIMESTAMP' },
  { name: 'originalTimestamp', type: 'STRING' },
  { name: 'sentAt', type: 'STRING' },
  { name: 'sourceId', type: 'INTEGER' },
  { name: 'value', type: 'INTEGER' },
  { name: 'currency', type: 'STRING' },
  { name: 'marks', type: 'INTEGER' },
  { name: 'properties', type: 'JSON' },
  { name: 'traits', type: 'JSON' },
  { name: 'context', type: 'JSON' },
  { name: 'integrations', type: 'JSON' },
  { name: 'millrace', type: 'JSON' },
]

export async function ensureEventsTable(dataset: Dataset): Promise<void> {
  await unlessThere(() => dataset.create())
  await unlessThere(() =>
    dataset.createTable(EVENTS_TABLE, {
      schema: { fields: COLUMNS },
      timePartitioning: { type: 'DAY', field: 'timestamp' },
      clustering: { fields: ['event', 'userId'] },
    }),
  )
}

export async function makeStagingTable(dataset: Dataset, name: string, nowMs: number): Promise<void> {
  await unlessThere(() =>
    dataset.createTable(name, {
      schema: { fields: COLUMNS },
      expirationTime: String(nowMs + STAGING_LIFE_MS),
    }),
  )
}

/** How a staged file is read: all of it or nothing; a field without a column is skipped. */
export const LOAD_FORMAT = {
  sourceFormat: 'NEWLINE_DELIMITED_JSON',
  writeDisposition: 'WRITE_TRUNCATE',
  createDisposition: 'CREATE_NEVER',
  ignoreUnknownValues: true,
  schema: { fields: COLUMNS },
}

/**
 * Adds the staged rows whose key is not there yet. The span of their times is in the statement as constants, so that
 * only the days they lie in are read. Identifiers and times are ours; nothing of an event is part of the statement.
 */
export function mergeStatement(
  dataset: string,
  staging: string,
  times: { fromMs: number; toMs: number },
): string {
  const names = COLUMNS.map(({ name }) => `\`${name}\``).join(', ')
  const values = COLUMNS.map(({ name }) => `s.\`${name}\``).join(', ')
  const from = new Date(times.fromMs - COPIES_WITHIN_MS).toISOString()
  const to = new Date(times.toMs + COPIES_WITHIN_MS).toISOString()
  return `merge \`${dataset}.${EVENTS_TABLE}\` t
using (
  select * from \`${dataset}.${staging}\`
  where true
  qualify row_number() over (partition by rowKey order by receivedAt, timestamp) = 1
) s
on t.rowKey = s.rowKey and t.timestamp between timestamp('${from}') and timestamp('${to}')
when not matched then insert (${names}) values (${values})`
}

/** 409: another process made it first. */
async function unlessThere(make: () => Promise<unknown>): Promise<void> {
  try {
    await make()
  } catch (error) {
    if (httpStatusOf(error) !== 409) throw error
  }
}

export function httpStatusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  const status = Number(error.code)
  return Number.isInteger(status) ? status : undefined
}
