// millrace pause: jobs of a queue keep arriving and wait; those under way finish.
import { pauseQueues } from '../../queues/control.ts'
import type { CliIo } from '../io.ts'
import { steer } from '../steer.ts'

export function run(args: string[], io: CliIo): Promise<number> {
  return steer(args, io, { action: 'queue.pause', done: 'paused', act: pauseQueues })
}
