// millrace config print: every setting with its value and why it is there; secrets only as set or not set.
import { describeConfig } from '../../runtime/config.ts'
import { fail } from '../../runtime/errors.ts'
import { parseOptions } from '../args.ts'
import { findConfig } from '../connect.ts'
import type { CliIo } from '../io.ts'
import { paint, table } from '../table.ts'

export async function run(args: string[], io: CliIo): Promise<number> {
  const { options, positionals } = parseOptions(args, { json: 'boolean' }, 1)
  if (positionals[0] !== 'print') throw fail('invalid_request', 'config print is all there is')
  const rows = describeConfig(findConfig(io).config)
  if (options.json) io.write(`${JSON.stringify(rows, null, 2)}\n`)
  else {
    io.write(
      table(
        [{ title: 'NAME' }, { title: 'VALUE' }, { title: 'WHY' }],
        rows.map((row) => [row.env, row.value === '' ? '-' : row.value, paint(row.why, 'dim', io.colours)]),
      ),
    )
  }
  return 0
}
