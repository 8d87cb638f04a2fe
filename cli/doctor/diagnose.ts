// All checks together, for `millrace doctor` and for `start`, which refuses to go on with what would lose events.
import type { Config } from '../../runtime/config.ts'
import type { CliIo } from '../io.ts'
import { readRunState } from '../run-state.ts'
import type { Finding } from './finding.ts'
import { diagnoseMachine } from './machine.ts'
import { diagnoseStores } from './stores.ts'

/** Findings in the order of a start. Changes nothing. */
export async function diagnose(config: Config): Promise<Finding[]> {
  const isRunning = readRunState(config.dataDir) !== undefined
  return [...(await diagnoseMachine(config, { isRunning })), ...(await diagnoseStores(config))]
}

/** What `start` cannot go on with, a line each with its mend; empty = nothing stands in the way. */
export function obstacles(findings: Finding[]): string[] {
  return findings
    .filter((finding) => finding.state === 'fail' && finding.startMends !== true)
    .map(({ text, mend }) => (mend === undefined ? text : `${text}: ${mend}`))
}

/** For `start` and `demo`: says what stands in the way, and whether to go on. */
export async function isFit(config: Config, io: CliIo): Promise<boolean> {
  const found = obstacles(await diagnose(config))
  for (const line of found) io.writeError(`Millrace cannot start: ${line}\n`)
  return found.length === 0
}
