// millrace demo: what `start` does, without staying up. Exits with 1 when any count is not as expected.
import { readConfig } from '../../runtime/config.ts'
import { runDemo } from '../demo/run-demo.ts'
import type { CliIo } from '../io.ts'
import { startStack } from '../local/stack.ts'

export async function run(_args: string[], io: CliIo): Promise<number> {
  io.write('Starting Millrace\n')
  const stack = await startStack({
    config: readConfig(io.env),
    env: io.env,
    say: (line) => io.write(`  ${line}\n`),
  })
  try {
    const { agrees } = await runDemo(stack, io)
    io.write(
      agrees
        ? '\nEvery count is as expected.\n'
        : '\nSome counts are not as expected: see the rows marked ✗.\n',
    )
    return agrees ? 0 : 1
  } finally {
    await stack.stop()
  }
}
