// Has the runs begun that a committed change has planned. Used by the routes that change segments and lists.
import { startRuns } from '../queues/segment-runs.ts'
import { isInfrastructureError } from '../runtime/errors.ts'
import { segmentRuns } from '../store/segment-runs.ts'
import type { ApiDeps } from './deps.ts'

/** When a store is away the sweep of the schedule pool begins them: nothing is lost, only later. */
export async function beginRuns({ servers, sender, config, clock, log }: ApiDeps): Promise<void> {
  try {
    await startRuns({
      send: sender.send,
      runs: segmentRuns(servers),
      shards: config.shards,
      nowMs: clock.now(),
    })
  } catch (error) {
    if (!isInfrastructureError(error)) throw error
    log.warn('runs could not be begun; the sweep will do it')
  }
}
