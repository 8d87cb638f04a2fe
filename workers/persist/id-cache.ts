// What a persist process remembers of identities, so that a known person costs no look-up. Sound because an id changes
// its profile only by a merge or a move, both of which are logged in commit order: the cache reads that log at the start
// of every group, and the group checks it once more, under the merge lock, before it commits.
import type { IdKey, KnownId } from '../../domain/identity.ts'
import { mergesAfter } from '../../store/identities.ts'
import type { Queryable } from '../../store/sql.ts'

/** About 20 MB; when it is full it starts again, which costs one read of each id. */
const MAX_IDS = 100_000

export type IdCache = {
  /** Catches up with merges; returns the newest one seen. */
  sync(tx: Queryable): Promise<number>
  get(key: IdKey): KnownId | undefined
  put(entries: Iterable<[IdKey, KnownId]>): void
}

export function createIdCache(): IdCache {
  let ids = new Map<IdKey, KnownId>()
  // Profiles that lost ids since the cache began: their entries are not believed.
  let losers = new Set<number>()
  let seen: number | undefined

  return {
    async sync(tx) {
      const merges = await mergesAfter(tx, seen)
      seen = merges.last
      for (const loser of merges.losers) losers.add(loser)
      if (ids.size > MAX_IDS || losers.size > MAX_IDS) {
        ids = new Map()
        losers = new Set()
      }
      return merges.last
    },
    get(key) {
      const known = ids.get(key)
      return known === undefined || losers.has(known.profileId) ? undefined : known
    },
    put(entries) {
      for (const [key, known] of entries) ids.set(key, known)
    },
  }
}
