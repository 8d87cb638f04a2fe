// What `millrace pause` and `millrace resume` share: names to queues, the act, a line in the audit log.
import { queuesNamed } from '../queues/control.ts'
import { allQueueNames, PIPELINE } from '../queues/pipeline.ts'
import { fail } from '../runtime/errors.ts'
import { recordAudit } from '../store/audit.ts'
import { nearest, parseOptions } from './args.ts'
import { type System, withSystem } from './connect.ts'
import type { CliIo } from './io.ts'

export type Verb = {
  action: 'queue.pause' | 'queue.resume'
  done: string
  act(redis: System['redis'], namespace: string, names: string[]): Promise<void>
}

export async function steer(args: string[], io: CliIo, verb: Verb): Promise<number> {
  const { positionals } = parseOptions(args, {}, 100)
  if (positionals.length === 0) throw fail('invalid_request', 'name a pool or a queue')
  return withSystem(io, async ({ config, redis, sql }) => {
    // All names are looked up before the first is acted on.
    const asked = positionals.map((name) => ({ name, queues: mustBeQueues(name, config.shards) }))
    for (const { name, queues } of asked) {
      await verb.act(redis, config.namespace, queues)
      await recordAudit(sql, { actor: 'cli', action: verb.action, target: name })
      io.write(`${verb.done} ${queues.length === 1 ? name : `${name} (${queues.length} queues)`}\n`)
    }
    return 0
  })
}

function mustBeQueues(name: string, shards: number): string[] {
  const queues = queuesNamed(name, shards)
  if (queues.length > 0) return queues
  const known = [...PIPELINE.map((contract) => contract.name), ...allQueueNames(shards)]
  const near = nearest(name, known)
  throw fail(
    'invalid_request',
    `there is no pool or queue ${name}: ${near === undefined ? PIPELINE.map((contract) => contract.name).join(', ') : `did you mean ${near}?`}`,
  )
}
