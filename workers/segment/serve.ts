// Hands what a pass found to Redis, which serves it to readers. Segments do not wait for a cache: what it does not take is said
// in Postgres, where readers look once a second, and they believe nothing that Redis has from before.
import { createAsker } from '../../cache/ask.ts'
import { writeServed } from '../../cache/memberships.ts'
import { beginAtZero } from '../../runtime/instruments.ts'
import { doubtServedUpTo } from '../../store/segment-generation.ts'
import type { PoolDeps } from '../define.ts'
import type { PassResult } from './pass.ts'

/** After the commit. Rejects only when neither Redis nor Postgres could be told: then the pass must come again. */
export type Serve = (served: PassResult['served']) => Promise<void>

/** The cache's connection gives a command up sooner. */
const PATIENCE_MS = 3000
/** A restart or a short silence of Redis is not worth reading everybody anew: it is asked once more, after the asker's pause. */
const ONCE_MORE_MS = 1100

export function createServe({
  cache,
  sql,
  metrics,
  log,
}: Pick<PoolDeps<never>, 'cache' | 'sql' | 'metrics' | 'log'>): Serve {
  const asker = createAsker(cache, { patienceMs: PATIENCE_MS })
  let wasAway = false
  beginAtZero(metrics.servedMissed, { by: ['pass', 'merge'] })

  return async ({ stamp, people }) => {
    if (people.length === 0) return
    const write = async () => !(await asker.ask((redis) => writeServed(redis, stamp, people))).isAway
    let isTaken = await write()
    if (!isTaken && !wasAway) {
      await new Promise((resolve) => setTimeout(resolve, ONCE_MORE_MS))
      isTaken = await write()
    }
    if (isTaken === wasAway)
      log.warn(
        isTaken ? 'Redis takes memberships again' : 'Redis does not take memberships: readers go to Postgres',
      )
    wasAway = !isTaken
    if (isTaken) return
    await doubtServedUpTo(sql, stamp.generation)
    metrics.servedMissed.inc({ by: 'pass' })
  }
}
