// A whole deployment for the time of one command: brought up, used, and taken down again, whether the work ends, fails or
// is interrupted by Ctrl-C. Used by `start` and `demo`.
import type { Config } from '../../runtime/config.ts'
import { releaseWhenIdle } from '../../runtime/idle-memory.ts'
import { waitForSignal } from '../../runtime/lifecycle.ts'
import type { CliIo } from '../io.ts'
import { type Stack, startStack } from './stack.ts'

/** Resolves with what `work` returned, or with `interrupted`; a second Ctrl-C exits at once. */
export async function withStack<T>(
  options: { config: Config; io: CliIo },
  work: (stack: Stack, interrupted: AbortSignal) => Promise<T>,
): Promise<T | 'interrupted'> {
  const { config, io } = options
  const controller = new AbortController()
  const { signal } = controller
  const stopped = waitForSignal(() => process.exit(1)).then(() => {
    controller.abort()
    io.write('\nStopping: the queues drain first\n')
    return 'interrupted' as const
  })
  io.write('Starting Millrace\n')
  const releasing = releaseWhenIdle()
  try {
    const say = (line: string) => io.write(`  ${line}\n`)
    const stack = await startStack({ config, env: io.env, say, signal })
    try {
      return await Promise.race([work(stack, signal), stopped])
    } finally {
      await stack.stop()
    }
  } catch (error) {
    if (!signal.aborted) throw error
    return 'interrupted'
  } finally {
    releasing.stop()
  }
}
