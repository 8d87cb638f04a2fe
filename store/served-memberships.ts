// What the served memberships (cache/memberships.ts) are made and told apart by: numbers of transactions, and what a reader
// looks up when Redis does not know. Needs the indexes of memberships on (profile_id) and of their changes on the key.
import { bucketOfProfile } from '../domain/buckets.ts'
import type { Queryable, Transaction } from './sql.ts'

/** The number of this transaction; later ones under the same lock have higher ones. */
export async function transactionNumber(tx: Transaction): Promise<number> {
  return (await stampOf(tx)).version
}

/**
 * The number of this transaction, and the one up to which all that follows in it sees the end of every other. To be taken
 * after the lock that orders it and before what it stamps is read.
 */
export async function stampOf(tx: Transaction): Promise<{ version: number; seen: number }> {
  const [row] = await tx<{ version: number; seen: number }[]>`
    select pg_current_xact_id()::text::bigint as version,
      pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1 as seen`
  if (row === undefined) throw new Error('a transaction has a number')
  return row
}

export type StoredMemberships = {
  mergedInto: number | null
  segmentIds: number[]
  /** Every transaction up to this number is over, and seen by the other two. */
  seen: number
}

/** In one look; undefined when there is no such profile. */
export async function readStoredMemberships(
  sql: Queryable,
  profileId: number,
): Promise<StoredMemberships | undefined> {
  const bucket = bucketOfProfile(profileId)
  const [row] = await sql<StoredMemberships[]>`
    select p.merged_into as "mergedInto",
      coalesce((
        select array_agg(segment_id) from memberships
        where bucket = ${bucket} and profile_id = ${profileId} and segment_id > 0
      ), '{}') as "segmentIds",
      pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1 as seen
    from profiles p
    where p.bucket = ${bucket} and p.profile_id = ${profileId}`
  return row
}

export type MembershipDetails = { segmentId: number; enteredAt: Date; version: number; reason: string | null }

/** Since when, by which version of the rule and why a profile is in its segments. */
export async function readMembershipDetails(sql: Queryable, profileId: number): Promise<MembershipDetails[]> {
  return sql<MembershipDetails[]>`
    select m.segment_id as "segmentId", m.entered_at as "enteredAt", m.version, c.reason
    from memberships m
    left join membership_changes c on c.bucket = m.bucket and c.change_id = m.change_id
    where m.bucket = ${bucketOfProfile(profileId)} and m.profile_id = ${profileId}`
}
