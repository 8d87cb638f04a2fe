// Whether people may be written to, for the rules that ask, and who is to be looked at again when that changes. All at home.
//
// A pass notes whose addresses it is going to ask about, in a statement of its own, before it asks. A suppression is
// committed before it is looked up who asked. So whichever comes first: either the pass is found by the suppression, or it
// sees it.
import type { HashedAddress } from '../domain/addresses.ts'
import type { Suppressed } from '../domain/segments/facts.ts'
import type { Channel } from '../schema/jobs.ts'
import { intArray, textArray } from './arrays.ts'
import { lockSegments } from './segment-references.ts'
import type { Servers } from './servers.ts'
import { inTransaction, type Queryable, type Sql } from './sql.ts'
import { wakeProfiles } from './wake.ts'

const columnsOf = (asked: HashedAddress[]) =>
  [
    intArray(asked.map((one) => one.profileId)),
    textArray(asked.map((one) => one.channel)),
    textArray(asked.map((one) => one.addressHash.toString('hex'))),
  ] as const

/** To be committed before `readSuppressed` is asked. What was noted before costs a look into the key and writes nothing. */
export async function noteAskedAddresses(home: Sql, asked: HashedAddress[]): Promise<void> {
  if (asked.length === 0) return
  const [profileIds, channels, hashes] = columnsOf(asked)
  await home`
    insert into asked_addresses (profile_id, channel, address_hash)
    select profile_id, channel, decode(hash, 'hex')
    from unnest(${profileIds}::bigint[], ${channels}::text[], ${hashes}::text[]) as a (profile_id, channel, hash)
    order by channel, hash, profile_id
    on conflict (channel, address_hash, profile_id) do nothing`
}

/** Why which of the addresses are suppressed, by profile and channel; who has none of these is left out. */
export async function readSuppressed(
  home: Queryable,
  asked: HashedAddress[],
): Promise<Map<number, Suppressed>> {
  const found = new Map<number, Map<Channel, string>>()
  if (asked.length === 0) return found
  const [profileIds, channels, hashes] = columnsOf(asked)
  const rows = await home<{ profile_id: number; channel: Channel; reason: string }[]>`
    select a.profile_id, a.channel, s.reason
    from unnest(${profileIds}::bigint[], ${channels}::text[], ${hashes}::text[]) as a (profile_id, channel, hash)
    join suppressions s on s.channel = a.channel and s.address_hash = decode(a.hash, 'hex')`
  for (const { profile_id, channel, reason } of rows) {
    const known = found.get(profile_id)
    if (known === undefined) found.set(profile_id, new Map([[channel, reason]]))
    else known.set(channel, reason)
  }
  return found
}

const CHANGES_AT_ONCE = 1_000

/** A live rule, or one that is evaluated beside it, asks whether somebody may be written to. */
const isAsked = (sql: Queryable) => sql`
  exists (
    select 1 from segments s
    join segment_versions v on v.segment_id = s.segment_id and v.version in (s.live_version, s.shadow_version)
    where s.archived_at is null and v.plan @> '{"leaves": [{"k": "consent"}]}'
  )`

/**
 * Sets a wake-up for everybody whom changes of suppressions that are older than `idleMs` concern, and forgets the changes.
 * Returns these profiles. Without a rule that asks there are none.
 */
export async function wakeForSuppressions(
  servers: Servers,
  { idleMs }: { idleMs: number },
): Promise<number[]> {
  const { home } = servers
  const changes = await home<{ channel: string; hash: string; changed_at: string }[]>`
    select channel, encode(address_hash, 'hex') as hash, changed_at::text
    from suppression_changes
    where changed_at <= clock_timestamp() - ${idleMs} * interval '1 millisecond'
    order by changed_at
    limit ${CHANGES_AT_ONCE}`
  if (changes.length === 0) return []
  const channels = textArray(changes.map((one) => one.channel))
  const hashes = textArray(changes.map((one) => one.hash))
  const rows = await home<{ profile_id: number }[]>`
    select distinct a.profile_id
    from unnest(${channels}::text[], ${hashes}::text[]) as c (channel, hash)
    join asked_addresses a on a.channel = c.channel and a.address_hash = decode(c.hash, 'hex')
    where ${isAsked(home)}`
  const profileIds = rows.map((row) => row.profile_id)
  await wakeProfiles(servers, profileIds)
  await home`
    delete from suppression_changes s
    using unnest(${channels}::text[], ${hashes}::text[], ${textArray(changes.map((one) => one.changed_at))}::text[])
      as c (channel, hash, changed_at)
    where s.channel = c.channel and s.address_hash = decode(c.hash, 'hex') and s.changed_at = c.changed_at::timestamptz`
  return profileIds
}

/** Nobody asks any more: whom to look at again need not be remembered. Under the lock of segments no rule comes meanwhile. */
export async function forgetAskedAddresses(home: Sql): Promise<number> {
  const [any] = await home`select 1 from asked_addresses limit 1`
  if (any === undefined) return 0
  return inTransaction(home, async (tx) => {
    await lockSegments(tx)
    const gone = await tx`delete from asked_addresses where not ${isAsked(tx)}`
    return gone.count
  })
}
