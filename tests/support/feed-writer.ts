// Writes membership changes as a pass does: in a transaction that holds the locks of their shards. And the people and
// segments that they are of, as bare rows.

import { shardOfProfile } from '../../domain/buckets.ts'
import type { MembershipChange } from '../../store/memberships.ts'
import { changeStatements, tryLockShards } from '../../store/memberships.ts'
import type { Servers } from '../../store/servers.ts'
import { inTransaction } from '../../store/sql.ts'

/** Profiles of evenly spread buckets with the user ids `u-<profile>`; returns their numbers. */
export async function addPeople(servers: Servers, count: number): Promise<number[]> {
  const ids = Array.from({ length: count }, (_, i) => (i + 1) * 1024 + ((i * 37) % 1024))
  for (const sql of servers.all) {
    const own = ids.filter((profileId) => servers.of(profileId) === sql)
    await sql`
      insert into profiles (bucket, profile_id, first_id, user_id, first_seen, last_seen)
      select id & 1023, id, 'u-' || id, 'u-' || id, now(), now() from unnest(${`{${own.join(',')}}`}::bigint[]) as p (id)`
  }
  await servers.home`
    insert into identities (kind, value, profile_id)
    select 0, 'u-' || id, id from unnest(${`{${ids.join(',')}}`}::bigint[]) as p (id)`
  return ids
}

export async function addSegment(servers: Servers, slug: string): Promise<number> {
  const [row] = await servers.home<{ id: number }[]>`
    insert into segments (slug, name) values (${slug}, ${slug}) returning segment_id as id`
  return row?.id ?? 0
}

export function changeOf(profileId: number, over: Partial<MembershipChange> = {}): MembershipChange {
  const effectiveAtMs = Date.UTC(2026, 10, 20)
  return {
    segmentId: 1,
    profileId,
    op: 'enter',
    reason: 'event',
    version: 1,
    effectiveAtMs,
    metrics: null,
    ...over,
  }
}

/**
 * Writes the changes of one server's people under the locks of their shards of `shards`, waits for `beforeCommit`, commits. Resolves
 * to those that were written: the others' shards were somebody else's.
 */
export async function writeAsPass(
  servers: Servers,
  changes: MembershipChange[],
  { shards = 4, beforeCommit }: { shards?: number; beforeCommit?: () => Promise<void> } = {},
): Promise<MembershipChange[]> {
  const [first] = changes
  if (first === undefined) return []
  return inTransaction(servers.of(first.profileId), async (tx) => {
    const wanted = [...new Set(changes.map(({ profileId }) => shardOfProfile(profileId, shards)))]
    const locked = new Set(await tryLockShards(tx, wanted, shards))
    const own = changes.filter(({ profileId }) => locked.has(shardOfProfile(profileId, shards)))
    await Promise.all(changeStatements(tx, own))
    await beforeCommit?.()
    return own
  })
}

/** All, each server's in one transaction; waits for locks that somebody has. */
export async function writeAll(servers: Servers, changes: MembershipChange[]): Promise<void> {
  for (const own of Map.groupBy(changes, ({ profileId }) => servers.of(profileId)).values()) {
    let left = own
    while (left.length > 0) {
      const written = new Set(await writeAsPass(servers, left))
      left = left.filter((change) => !written.has(change))
    }
  }
}
