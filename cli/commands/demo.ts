// millrace demo: what `start` does, without staying up. Exits with 1 when any count is not as expected, with 130 when it
// is interrupted.
import { readConfig } from '../../runtime/config.ts'
import { runDemoApart } from '../demo/apart.ts'
import { isFit } from '../doctor/diagnose.ts'
import type { CliIo } from '../io.ts'
import { withStack } from '../local/with-stack.ts'

export async function run(_args: string[], io: CliIo): Promise<number> {
  const config = readConfig(io.env)
  if (!(await isFit(config, io))) return 1
  const result = await withStack({ config, io }, (stack, interrupted) => runDemoApart(stack, io, interrupted))
  if (result === 'interrupted') return 130
  io.write(
    result.agrees
      ? '\nEvery count is as expected.\n'
      : '\nSome counts are not as expected: see the rows marked ✗.\n',
  )
  return result.agrees ? 0 : 1
}
