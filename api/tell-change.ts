// Tells Redis of a change of what is live before it commits, so that no reader of memberships goes by the segments of before once it
// is done. Used by the routes that change segments and metrics.
import { changeSegmentToken } from '../cache/segment-token.ts'
import { fail } from '../runtime/errors.ts'
import type { BeforeChange } from '../store/segments.ts'
import type { ApiDeps } from './deps.ts'

/** Throws `unavailable` when Redis cannot be told: the transaction is rolled back, and the request may be sent again as it is. */
export function tellChange({ cache }: ApiDeps): BeforeChange {
  return async (transaction) => {
    try {
      await changeSegmentToken(cache, transaction)
    } catch (cause) {
      throw fail('unavailable', 'Redis cannot be told of the change: nothing was changed', {
        retryAfterS: 2,
        cause,
      })
    }
  }
}
