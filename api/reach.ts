// After a suppression came or went: hands the people whom live rules ask about by that address to the segment pool.
import { tellTimers } from '../cache/timer-news.ts'
import { sendWoken } from '../queues/woken.ts'
import { isInfrastructureError } from '../runtime/errors.ts'
import { wakeForSuppressions } from '../store/reach.ts'
import type { ApiDeps } from './deps.ts'

/** Never fails for a store that is away: the change is kept, and the clock finds what was left behind. */
export async function evaluateReach({ servers, sender, cache, config, clock, log }: ApiDeps): Promise<void> {
  try {
    const profileIds = await wakeForSuppressions(servers, { idleMs: 0 })
    if (profileIds.length === 0) return
    await tellTimers(cache)
    await sendWoken(sender.send, { profileIds, shards: config.shards, nowMs: clock.now() })
  } catch (error) {
    if (!isInfrastructureError(error)) throw error
    log.warn('whom a suppression concerns is evaluated later: a store is away')
  }
}
