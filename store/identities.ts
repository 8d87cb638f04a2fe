// The identities table family: which profile an id means, and the log of merges that keeps concurrent groups honest.
import type { IdKey, KnownId, Link } from '../domain/identity.ts'
import { intArray, textArray } from './arrays.ts'
import type { Queryable, Transaction } from './sql.ts'

const USER = 0
const ANONYMOUS = 1

function idColumns(keys: IdKey[]): { kinds: string; values: string } {
  return {
    kinds: intArray(keys.map((key) => (key.startsWith('u:') ? USER : ANONYMOUS))),
    values: textArray(keys.map((key) => key.slice(2))),
  }
}

/** What is stored of the given ids. `hasUser` is only right for ids in `linking`: the others do not need it. */
export async function readIdentities(
  tx: Queryable,
  keys: IdKey[],
  linking: Set<IdKey>,
): Promise<Map<IdKey, KnownId>> {
  const known = new Map<IdKey, KnownId>()
  if (keys.length === 0) return known
  const { kinds, values } = idColumns(keys)
  const rows = await tx<
    {
      kind: number
      value: string
      profile_id: number
      linked_at: Date | null
      linked_message_id: string | null
      has_user: boolean
    }[]
  >`
    select i.kind, i.value, i.profile_id, i.linked_at, i.linked_message_id,
      case when ids.kind = 0 then true
           when ids.linking = 1 then exists (
             select 1 from identities u where u.profile_id = i.profile_id and u.kind = 0)
           else false end as has_user
    from unnest(${kinds}::smallint[], ${values}::text[], ${intArray(keys.map((key) => (linking.has(key) ? 1 : 0)))}::int[])
      as ids (kind, value, linking)
    join identities i on i.kind = ids.kind and i.value = ids.value`
  for (const row of rows) {
    const link: Link | undefined =
      row.linked_at === null
        ? undefined
        : { time: row.linked_at.getTime(), messageId: row.linked_message_id ?? '' }
    known.set(row.kind === USER ? `u:${row.value}` : `a:${row.value}`, {
      profileId: row.profile_id,
      hasUser: row.has_user,
      ...(link === undefined ? {} : { link }),
    })
  }
  return known
}

/** New profile numbers for ids in given buckets: (sequence << 10) | bucket. */
export async function takeProfileNumbers(tx: Queryable, buckets: number[]): Promise<number[]> {
  if (buckets.length === 0) return []
  const rows = await tx<{ profile_id: number }[]>`
    select (nextval('profile_numbers') << 10) | b.bucket as profile_id
    from unnest(${intArray(buckets)}::bigint[]) with ordinality as b (bucket, position)
    order by b.position`
  return rows.map((row) => row.profile_id)
}

export type NewIdentity = { key: IdKey; profileId: number; link: Link | undefined }

/**
 * Claims ids for profiles. Returns false when another transaction claimed one of them first: the caller starts its
 * group again and then finds it. Sorted, so that two groups with the same ids wait for each other instead of deadlocking.
 */
export async function insertIdentities(tx: Transaction, identities: NewIdentity[]): Promise<boolean> {
  if (identities.length === 0) return true
  const sorted = [...identities].sort((a, b) => (a.key < b.key ? -1 : 1))
  const { kinds, values } = idColumns(sorted.map((identity) => identity.key))
  const inserted = await tx`
    insert into identities (kind, value, profile_id, linked_at, linked_message_id)
    select * from unnest(
      ${kinds}::smallint[], ${values}::text[], ${intArray(sorted.map((identity) => identity.profileId))}::bigint[],
      ${sorted.map((identity) => (identity.link === undefined ? null : new Date(identity.link.time).toISOString()))}::timestamptz[],
      ${textArray(sorted.map((identity) => identity.link?.messageId))}::text[])
    on conflict (kind, value) do nothing`
  return inserted.count === identities.length
}

/** Stores an earlier link of known anonymous ids, with its owner. Returns those that were not linked earlier meanwhile. */
export async function updateLinks(
  tx: Transaction,
  links: { key: IdKey; profileId: number; link: Link }[],
): Promise<Set<string>> {
  if (links.length === 0) return new Set()
  const sorted = [...links].sort((a, b) => (a.key < b.key ? -1 : 1))
  const updated = await tx<{ value: string }[]>`
    update identities i
    set linked_at = l.linked_at, linked_message_id = l.message_id, profile_id = l.profile_id
    from unnest(
      ${textArray(sorted.map((entry) => entry.key.slice(2)))}::text[], ${intArray(sorted.map((entry) => entry.profileId))}::bigint[],
      ${textArray(sorted.map((entry) => isoOf(entry.link)))}::timestamptz[],
      ${textArray(sorted.map((entry) => entry.link.messageId))}::text[]) as l (value, profile_id, linked_at, message_id)
    where i.kind = ${ANONYMOUS} and i.value = l.value
      and (i.linked_at is null or (l.linked_at, l.message_id) < (i.linked_at, i.linked_message_id))
    returning i.value`
  return new Set(updated.map((row) => row.value))
}

/** The newest merge this transaction can see, and who lost ids after `seen` (nobody, when nothing was seen before). */
export async function mergesAfter(
  tx: Queryable,
  seen: number | undefined,
): Promise<{ last: number; losers: number[] }> {
  if (seen === undefined) {
    const [row] = await tx<{ last: number }[]>`select coalesce(max(merge_seq), 0) as last from profile_merges`
    return { last: row?.last ?? 0, losers: [] }
  }
  const rows = await tx<{ merge_seq: number; loser_id: number }[]>`
    select merge_seq, loser_id from profile_merges where merge_seq > ${seen}`
  return {
    last: rows.reduce((last, row) => Math.max(last, row.merge_seq), seen),
    losers: rows.map((row) => row.loser_id),
  }
}

/**
 * Takes the merge lock of this namespace until the end of the transaction, shared or (to merge) exclusive, and says
 * whether any of `profileIds` was merged away or lost an id since `afterMerge`. True = the group must start again.
 * Held only from here to the commit, so ordinary groups never wait for each other.
 */
export async function lockMerges(
  tx: Transaction,
  options: { exclusive: boolean; afterMerge: number; profileIds: number[] },
): Promise<boolean> {
  if (options.exclusive) await lockOutGroups(tx)
  else await tx`select pg_advisory_xact_lock_shared(hashtextextended(current_schema() || '.merges', 0))`
  // A statement of its own: it sees what was committed while this one waited for the lock.
  const rows = await tx`
    select 1 from profile_merges
    where merge_seq > ${options.afterMerge} and loser_id = any(${intArray(options.profileIds)}::bigint[])
    limit 1`
  return rows.length > 0
}

/** Until the end of the transaction no group of events commits: each takes this lock, shared, before it does. */
export async function lockOutGroups(tx: Transaction): Promise<void> {
  await tx`select pg_advisory_xact_lock(hashtextextended(current_schema() || '.merges', 0))`
}

/** Profiles that were merged away (or lost an id) into one of `winnerIds` during the last day. */
export async function recentLosers(sql: Queryable, winnerIds: number[]): Promise<number[]> {
  if (winnerIds.length === 0) return []
  const rows = await sql<{ loser_id: number }[]>`
    select distinct loser_id from profile_merges
    where winner_id = any(${intArray(winnerIds)}::bigint[]) and merged_at > now() - interval '1 day'`
  return rows.map((row) => row.loser_id)
}

function isoOf(link: Link | undefined): string | undefined {
  return link === undefined ? undefined : new Date(link.time).toISOString()
}
