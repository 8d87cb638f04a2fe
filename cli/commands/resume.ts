// millrace resume: the waiting jobs of a queue flow again.
import { resumeQueues } from '../../queues/control.ts'
import type { CliIo } from '../io.ts'
import { steer } from '../steer.ts'

export function run(args: string[], io: CliIo): Promise<number> {
  return steer(args, io, { action: 'queue.resume', done: 'resumed', act: resumeQueues })
}
