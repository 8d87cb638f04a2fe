// All checks together, for `millrace doctor` and for `start`, which refuses to go on with what would lose events.
import type { Config } from '../../runtime/config.ts'
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
