// Before a merge commits, Redis is kept from answering as it did of who is merged away. Not after it, where a process that dies
// would leave the old answer for good.
import { createAsker } from '../../cache/ask.ts'
import type { Cache } from '../../cache/connect.ts'
import { doubtServed } from '../../cache/memberships.ts'
import { rangeOfProfile } from '../../domain/buckets.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { JointTransaction } from '../../store/joint-transaction.ts'
import { doubtAllServed } from '../../store/segment-generation.ts'
import { transactionNumber } from '../../store/served-memberships.ts'

/** Throws only what Postgres throws. */
export type ServedFence = (joint: JointTransaction, losers: number[]) => Promise<void>

/** The merge lock is held meanwhile. */
const PATIENCE_MS = 1000

export function createServedFence({ cache, metrics }: { cache: Cache; metrics: Metrics }): ServedFence {
  const asker = createAsker(cache, { patienceMs: PATIENCE_MS })
  return async (joint, losers) => {
    let isTold = true
    await joint.each(losers, rangeOfProfile, async (tx, own) => {
      const version = await transactionNumber(tx)
      const { isAway } = await asker.ask((redis) => doubtServed(redis, version, own))
      if (isAway) isTold = false
    })
    if (isTold) return
    // Events do not wait for a cache: the merge commits together with the word that Redis is not to be believed.
    await doubtAllServed(joint.home)
    metrics.servedMissed.inc({ by: 'merge' })
  }
}
