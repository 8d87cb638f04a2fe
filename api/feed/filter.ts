// Which changes a listener asked for. A user is whoever the id means when a change is told: after a merge the winner, and
// also the loser, who leaves.
import { fail } from '../../runtime/errors.ts'
import { profileIdOfUser } from '../../store/profiles.ts'
import type { Servers } from '../../store/servers.ts'
import { segmentOf } from '../segment-shapes.ts'
import type { FeedChange } from './message.ts'

export type FeedQuery = { segment?: string; user?: string; reason?: string; op?: 'enter' | 'exit' }

export type Filter = {
  /** Undefined = all segments. */
  segmentId: number | undefined
  /** Those of the changes that were asked for. */
  pick(changes: readonly FeedChange[]): Promise<Set<FeedChange>>
}

/** Throws `not_found` for a segment or user that is not there. */
export async function openFilter(servers: Servers, query: FeedQuery): Promise<Filter> {
  const { segment, user, reason, op } = query
  const segmentId = segment === undefined ? undefined : (await segmentOf(servers.home, segment)).segmentId
  const isOfUser = user === undefined ? undefined : await openUser(servers, user)
  return {
    segmentId,
    async pick(changes) {
      const some = changes.filter(
        (change) =>
          (segmentId === undefined || change.segment === segmentId) &&
          (reason === undefined || change.reason === reason) &&
          (op === undefined || change.op === op),
      )
      return new Set(isOfUser === undefined || some.length === 0 ? some : await isOfUser(some))
    },
  }
}

async function openUser(servers: Servers, userId: string) {
  const look = () => profileIdOfUser(servers.home, userId)
  const first = await look()
  if (first === undefined) throw fail('not_found', 'there is no user with this id', { field: 'user' })
  const profiles = new Set([first])
  return async (changes: FeedChange[]) => {
    // Asked anew: a merge that made these changes was committed before them.
    const now = await look()
    if (now !== undefined) profiles.add(now)
    return changes.filter((change) => change.userId === userId || profiles.has(change.profileId))
  }
}
