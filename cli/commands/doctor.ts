// millrace doctor: what is missing or wrong here, in plain words, each with its mend. Exits with 1 when something fails.
import { parseOptions } from '../args.ts'
import { findConfig } from '../connect.ts'
import { diagnose } from '../doctor/diagnose.ts'
import type { Finding } from '../doctor/finding.ts'
import type { CliIo } from '../io.ts'
import { paint } from '../table.ts'

const MARKS = { ok: ['ok  ', 'green'], warn: ['warn', 'yellow'], fail: ['FAIL', 'red'] } as const

export async function run(args: string[], io: CliIo): Promise<number> {
  const { options } = parseOptions(args, { json: 'boolean' })
  const findings = await diagnose(findConfig(io).config)
  const failed = findings.filter((finding) => finding.state === 'fail').length
  if (options.json) io.write(`${JSON.stringify(findings, null, 2)}\n`)
  else {
    io.write(findings.map((finding) => lineOf(finding, io)).join(''))
    io.write(`\n${failed === 0 ? 'Nothing stands in the way.' : `${failed} to mend.`}\n`)
  }
  return failed === 0 ? 0 : 1
}

function lineOf({ check, state, text, mend }: Finding, io: CliIo): string {
  const [mark, colour] = MARKS[state]
  const line = `${paint(mark, colour, io.colours)}  ${check.padEnd(17)}  ${text}\n`
  return mend === undefined ? line : `${line}${' '.repeat(25)}-> ${mend}\n`
}
