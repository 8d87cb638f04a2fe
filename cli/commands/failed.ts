// millrace failed: dead letters, i.e. events that could not be kept and jobs that were given up. Counts by reason, rows,
// one of them whole, and discarding. Sending them again is `millrace replay`.
import { deadJobOf, removeDeadJobs } from '../../queues/dead-jobs.ts'
import { fail } from '../../runtime/errors.ts'
import { recordAudit } from '../../store/audit.ts'
import { discardFailedEvents, type StoredFailedEvent } from '../../store/failed-events.ts'
import { parseOptions, wholeNumber } from '../args.ts'
import { type System, withSystem } from '../connect.ts'
import { countByReason, FAILURE_OPTIONS, openFailures, readWanted, type Wanted } from '../failures.ts'
import type { CliIo } from '../io.ts'
import { table } from '../table.ts'

const COUNTED = 10_000
const LISTED = 50
const DISCARDED_AT_ONCE = 500

export async function run(args: string[], io: CliIo): Promise<number> {
  const [verb = 'count', ...rest] = args[0]?.startsWith('-') === false ? args : ['count', ...args]
  const { options, positionals } = parseOptions(
    rest,
    { ...FAILURE_OPTIONS, payload: 'boolean', yes: 'boolean', json: 'boolean' },
    verb === 'show' ? 1 : 0,
  )
  switch (verb) {
    case 'count':
      return withSystem(io, (system) => showCounts(system, readWanted(options, COUNTED), io))
    case 'list':
      return withSystem(io, (system) => list(system, readWanted(options, LISTED), options.json === true, io))
    case 'show': {
      const failedId = wholeNumber(positionals[0] ?? '', 'id', { min: 1, max: Number.MAX_SAFE_INTEGER }) ?? 0
      return withSystem(io, (system) => show(system, failedId, options, io))
    }
    case 'discard':
      return withSystem(io, (system) =>
        discard(system, readWanted(options, COUNTED), options.yes === true, io),
      )
    default:
      throw fail('invalid_request', `failed does not know ${verb}: list, show ID or discard`)
  }
}

async function showCounts(system: System, wanted: Wanted, io: CliIo): Promise<number> {
  const { total, text } = await countByReason(system, wanted)
  io.write(
    total === 0
      ? 'Nothing has failed.\n'
      : `${text}${total} in all. Look: failed list, failed show ID. Send again: replay. Give up: failed discard.\n`,
  )
  return 0
}

async function list(system: System, wanted: Wanted, asJson: boolean, io: CliIo): Promise<number> {
  const rows: StoredFailedEvent[] = []
  for await (const row of openFailures(system, wanted)) rows.push(row)
  if (asJson) {
    for (const row of rows) io.write(`${JSON.stringify(aboutOf(row))}\n`)
    return 0
  }
  if (rows.length === 0) {
    io.write('Nothing that failed matches.\n')
    return 0
  }
  const columns = [
    { title: 'ID', align: 'right' as const },
    { title: 'FAILED AT' },
    { title: 'STAGE' },
    { title: 'CODE' },
    { title: 'BYTES', align: 'right' as const },
    { title: 'REASON' },
  ]
  const cells = rows.map((row) => [
    String(row.failedId),
    row.failedAt.toISOString(),
    row.stage,
    row.code,
    String(Buffer.byteLength(row.payload)),
    row.reason.slice(0, 100),
  ])
  io.write(table(columns, cells))
  return 0
}

async function show(
  system: System,
  failedId: number,
  options: { payload?: boolean; json?: boolean },
  io: CliIo,
): Promise<number> {
  for await (const row of openFailures(system, { failedIds: [failedId], limit: 1 })) {
    const about = { ...aboutOf(row), ...(options.payload === true ? { payload: row.payload } : {}) }
    if (options.json === true) io.write(`${JSON.stringify(about)}\n`)
    else for (const [name, value] of Object.entries(about)) io.write(`${name.padEnd(10)} ${value ?? '-'}\n`)
    return 0
  }
  throw fail('not_found', `nothing open failed under the number ${failedId}: failed list shows what there is`)
}

/** All but what it held. */
function aboutOf(row: StoredFailedEvent) {
  const { failedId, stage, code, reason, sqlstate, sourceId, messageId, replays } = row
  return {
    failedId,
    failedAt: row.failedAt.toISOString(),
    stage,
    code,
    reason,
    sqlstate: sqlstate ?? null,
    sourceId: sourceId ?? null,
    messageId: messageId ?? null,
    replays,
    bytes: Buffer.byteLength(row.payload),
  }
}

async function discard(system: System, wanted: Wanted, yes: boolean, io: CliIo): Promise<number> {
  if (!yes) {
    const { total, text } = await countByReason(system, wanted)
    io.write(
      total === 0
        ? 'Nothing that failed matches.\n'
        : `${text}${total} would be given up for good. Nothing was done: add --yes to do it.\n`,
    )
    return 0
  }
  const rows: StoredFailedEvent[] = []
  for await (const row of openFailures(system, wanted)) rows.push({ ...row, payload: '' })
  let discarded = 0
  for (let from = 0; from < rows.length; from += DISCARDED_AT_ONCE) {
    const slice = rows.slice(from, from + DISCARDED_AT_ONCE)
    discarded += await discardFailedEvents(
      system.sql,
      slice.map((row) => row.failedId),
    )
    await removeJobsOf(system, slice)
  }
  const { stage = null, code = null } = wanted
  await recordAudit(system.sql, {
    actor: 'cli',
    action: 'failed-event.discard',
    details: { discarded, stage, code },
  })
  io.write(`${discarded} given up\n`)
  return 0
}

/** Those of the failures that are dead jobs leave the failed sets of their queues. */
async function removeJobsOf({ redis, config }: System, rows: StoredFailedEvent[]): Promise<void> {
  const jobs = rows.map((row) => deadJobOf(row.failedKey, config.shards)).filter((job) => job !== undefined)
  for (const [lane, ofLane] of Map.groupBy(jobs, (job) => job.lane))
    await removeDeadJobs(
      redis,
      config.namespace,
      lane,
      ofLane.map((job) => job.jobId),
    )
}
