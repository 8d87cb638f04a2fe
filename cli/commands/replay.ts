// millrace replay: sends what failed again, events and dead jobs alike. Without --yes it only counts. Each is put on its
// queue before its row is marked: at worst it is sent twice, and the exactly-once key drops the second.
import { deadJobOf, removeDeadJobs } from '../../queues/dead-jobs.ts'
import { replayPayload } from '../../queues/replay.ts'
import { createSender } from '../../queues/sender.ts'
import { MillraceError } from '../../runtime/errors.ts'
import { recordAudit } from '../../store/audit.ts'
import { listFailedEvents, markReplayed, type StoredFailedEvent } from '../../store/failed-events.ts'
import { recordDeadJobs } from '../../workers/dead-jobs.ts'
import { parseOptions, pastTime, wholeNumber } from '../args.ts'
import { type System, withSystem } from '../connect.ts'
import type { CliIo } from '../io.ts'
import { table } from '../table.ts'

const PAGE = 200
const MAX_ID = Number.MAX_SAFE_INTEGER

type Wanted = { stage?: string; code?: string; failedIds?: number[]; since?: Date; limit: number }

export async function run(args: string[], io: CliIo): Promise<number> {
  const { options } = parseOptions(args, {
    stage: 'string',
    code: 'string',
    id: 'string',
    since: 'string',
    limit: 'string',
    yes: 'boolean',
  })
  const id = wholeNumber(options.id, 'id', { min: 1, max: MAX_ID })
  const since = pastTime(options.since, 'since', Date.now())
  const wanted: Wanted = {
    ...(options.stage === undefined ? {} : { stage: options.stage }),
    ...(options.code === undefined ? {} : { code: options.code }),
    ...(id === undefined ? {} : { failedIds: [id] }),
    ...(since === undefined ? {} : { since }),
    limit: wholeNumber(options.limit, 'limit', { min: 1, max: MAX_ID }) ?? 1_000,
  }
  return withSystem(io, async (system) => {
    // Dead jobs whose recording failed are found in BullMQ's failed sets first.
    await recordDeadJobs({ ...system, ...system.config })
    return options.yes ? replayAll(system, wanted, io) : showCounts(system, wanted, io)
  })
}

async function showCounts(system: System, wanted: Wanted, io: CliIo): Promise<number> {
  const counts = new Map<string, { row: StoredFailedEvent; count: number; last: Date }>()
  let total = 0
  for await (const row of openFailures(system, wanted)) {
    total++
    const key = `${row.stage} ${row.code} ${row.sqlstate ?? ''}`
    const known = counts.get(key)
    if (known === undefined) counts.set(key, { row, count: 1, last: row.failedAt })
    else Object.assign(known, { count: known.count + 1, last: row.failedAt })
  }
  if (total === 0) {
    io.write('Nothing that failed matches.\n')
    return 0
  }
  const cells = [...counts.values()].map(({ row, count, last }) => [
    row.stage,
    row.code,
    String(count),
    last.toISOString(),
    row.reason.slice(0, 100),
  ])
  const columns = [
    { title: 'STAGE' },
    { title: 'CODE' },
    { title: 'COUNT', align: 'right' as const },
    { title: 'LAST' },
    { title: 'FIRST REASON' },
  ]
  io.write(table(columns, cells))
  io.write(`${total} would be sent again. Nothing was sent: add --yes to do it.\n`)
  return 0
}

async function replayAll(system: System, wanted: Wanted, io: CliIo): Promise<number> {
  const { sql, redis, config } = system
  const sender = createSender({ redis, namespace: config.namespace, waitReplicas: config.redisWaitReplicas })
  const refused = new Map<string, number>()
  let replayed = 0
  try {
    for await (const row of openFailures(system, wanted)) {
      const { stage, payload, failedId } = row
      try {
        await replayPayload(sender, { stage, payload, idSuffix: `r${failedId}`, shards: config.shards })
      } catch (error) {
        if (!(error instanceof MillraceError) || error.code !== 'conflict') throw error
        refused.set(error.detail, (refused.get(error.detail) ?? 0) + 1)
        continue
      }
      await markReplayed(sql, [failedId])
      const job = deadJobOf(row.failedKey, config.shards)
      if (job !== undefined) await removeDeadJobs(redis, config.namespace, job.lane, [job.jobId])
      replayed++
    }
  } finally {
    await sender.close()
  }
  const refusals = [...refused.values()].reduce((sum, count) => sum + count, 0)
  await recordAudit(sql, {
    actor: 'cli',
    action: 'failed-event.replay',
    details: { replayed, refused: refusals },
  })
  io.write(`${replayed} sent again\n`)
  for (const [why, count] of refused) io.writeError(`${count} left as they are: ${why}\n`)
  return refused.size === 0 ? 0 : 1
}

/** Open failures, oldest first, a page at a time. */
async function* openFailures({ sql }: System, wanted: Wanted): AsyncGenerator<StoredFailedEvent> {
  let left = wanted.limit
  let afterId = 0
  while (left > 0) {
    const page = await listFailedEvents(sql, { ...wanted, afterId, limit: Math.min(left, PAGE) })
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    afterId = last.failedId
    left -= page.length
  }
}
