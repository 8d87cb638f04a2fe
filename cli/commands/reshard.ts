// millrace reshard: another number of segment queues, while everything runs. Stores the map, tells the processes (which stop
// in order and start again with it, each by itself), waits until the new queues have workers, and moves what still waits
// on queues that are no more. Rows stay where they are. Safe to run again at any point.
import { BUCKETS } from '../../domain/buckets.ts'
import { countWorkers } from '../../queues/activity.ts'
import { queueNames } from '../../queues/define.ts'
import { segment } from '../../queues/pipeline.ts'
import { moveRetiredJobs, retiredLanes } from '../../queues/retired-lanes.ts'
import { createSender } from '../../queues/sender.ts'
import { tellShards } from '../../queues/shard-news.ts'
import { fail } from '../../runtime/errors.ts'
import { recordAudit } from '../../store/audit.ts'
import { changeShardMap, mostShards } from '../../store/shard-map.ts'
import { parseOptions } from '../args.ts'
import { type System, withSystem } from '../connect.ts'
import { onInterrupt, sleep } from '../interrupt.ts'
import type { CliIo } from '../io.ts'

const LOOK_MS = 1000
const PATIENCE_MS = 120_000
/** Processes of the old number may send for as long as they take to stop. */
const QUIET_LOOKS = 5

export async function run(args: string[], io: CliIo): Promise<number> {
  const { positionals } = parseOptions(args, {}, 1)
  const shards = Number(positionals[0])
  if (!Number.isInteger(shards) || shards < 1 || BUCKETS % shards !== 0)
    throw fail('invalid_request', 'name the number of shards: 1, 2, 4 … 1024')
  return withSystem(io, async (system) => {
    const { sql, redis, config } = system
    // Asked before: where nothing runs there is nobody to wait for.
    const isRunning = await anyWorker(system, config.shards)
    if (await changeShardMap(sql, shards)) {
      await recordAudit(sql, {
        actor: 'cli',
        action: 'shards.change',
        details: { from: config.shards, to: shards },
      })
      io.write(`${config.shards} shards are ${shards} now; the processes start again with them\n`)
    } else io.write(`There are ${shards} shards already\n`)
    await tellShards(redis, config.namespace, shards)
    if (!isRunning) io.write('Nothing works on segments now: the next start takes the new number\n')
    const { moved, missing } = await settle(system, { shards, isRunning })
    if (moved > 0) io.write(`${moved} jobs moved to the queues of their new shards\n`)
    if (missing.length === 0) {
      if (isRunning) io.write(`Every one of the ${shards} queues has a worker\n`)
      return 0
    }
    const some = `${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ' …' : ''}`
    io.writeError(
      `No worker yet on ${missing.length} queues (${some}): restart the segment pool, with MILLRACE_SHARDS unset or ${shards}\n`,
    )
    return 1
  })
}

/** Moves what waits on retired queues until none comes any more and the new ones have workers. */
async function settle(
  system: System,
  { shards, isRunning }: { shards: number; isRunning: boolean },
): Promise<{ moved: number; missing: string[] }> {
  const { sql, redis, config } = system
  const { namespace } = config
  const interrupt = onInterrupt()
  const sender = createSender({ redis, namespace, waitReplicas: config.redisWaitReplicas })
  const most = await mostShards(sql)
  const deadline = Date.now() + PATIENCE_MS
  let moved = 0
  let missing: string[] = []
  try {
    for (let quiet = 0; quiet < QUIET_LOOKS && !interrupt.signal.aborted && Date.now() < deadline; ) {
      const now = await moveRetiredJobs({ redis, namespace, send: sender.send, shards, most })
      moved += now
      missing = isRunning ? await withoutWorker(system, shards) : []
      const leaving = await countWorkers(redis, namespace, retiredLanes(shards, most))
      const isStill = [...(leaving?.values() ?? [])].every((count) => count === 0)
      quiet = now === 0 && missing.length === 0 && isStill ? quiet + 1 : 0
      if (quiet < QUIET_LOOKS && isRunning) await sleep(LOOK_MS, interrupt.signal)
    }
  } finally {
    await sender.close()
    interrupt.release()
  }
  return { moved, missing }
}

async function anyWorker({ redis, config }: System, shards: number): Promise<boolean> {
  const workers = await countWorkers(redis, config.namespace, queueNames(segment, shards))
  return workers === undefined || [...workers.values()].some((count) => count > 0)
}

/** Queues that nobody works on; none where Redis does not tell. */
async function withoutWorker({ redis, config }: System, shards: number): Promise<string[]> {
  const workers = await countWorkers(redis, config.namespace, queueNames(segment, shards))
  return [...(workers ?? [])].filter(([, count]) => count === 0).map(([name]) => name)
}
