// millrace replay: sends what failed again, events and dead jobs alike. Without --yes it only counts. Each is put on its
// queue before its row is marked: at worst it is sent twice, and the exactly-once key drops the second.
import { deadJobOf, removeDeadJobs } from '../../queues/dead-jobs.ts'
import { replayPayload } from '../../queues/replay.ts'
import { createSender } from '../../queues/sender.ts'
import { MillraceError } from '../../runtime/errors.ts'
import { recordAudit } from '../../store/audit.ts'
import { markReplayed } from '../../store/failed-events.ts'
import { parseOptions } from '../args.ts'
import { type System, withSystem } from '../connect.ts'
import { countByReason, FAILURE_OPTIONS, openFailures, readWanted, type Wanted } from '../failures.ts'
import type { CliIo } from '../io.ts'

export async function run(args: string[], io: CliIo): Promise<number> {
  const { options } = parseOptions(args, { ...FAILURE_OPTIONS, yes: 'boolean' })
  const wanted = readWanted(options, 1_000)
  return withSystem(io, (system) =>
    options.yes ? replayAll(system, wanted, io) : showCounts(system, wanted, io),
  )
}

async function showCounts(system: System, wanted: Wanted, io: CliIo): Promise<number> {
  const { total, text } = await countByReason(system, wanted)
  io.write(
    total === 0
      ? 'Nothing that failed matches.\n'
      : `${text}${total} would be sent again. Nothing was sent: add --yes to do it.\n`,
  )
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
