// Who the events of a group belong to: ids are resolved and claimed at the start of the transaction; links, user ids,
// merges and moves are written at its end, under the merge lock, so that the lock is held only until the commit.
import { bucketOf, rangeOfProfile } from '../../domain/buckets.ts'
import {
  type IdKey,
  idsOf,
  type KnownId,
  type Mention,
  ownerKey,
  type ProfileRef,
  type Resolution,
  resolveIdentities,
} from '../../domain/identity.ts'
import type { NormalEvent } from '../../schema/event.ts'
import {
  insertIdentities,
  lockMerges,
  readIdentities,
  takeProfileNumbers,
  updateLinks,
} from '../../store/identities.ts'
import type { JointTransaction } from '../../store/joint-transaction.ts'
import { mergeProfiles, moveAnonymous } from '../../store/merges.ts'
import { insertProfiles, lockAnonymous, lockProfiles, setUserIds } from '../../store/profiles-write.ts'
import type { Transaction } from '../../store/sql.ts'
import type { IdCache } from './id-cache.ts'
import type { ServedFence } from './served-fence.ts'

export type People = {
  profileOf: Map<IdKey, number>
  resolution: Resolution
  numberOf(ref: ProfileRef): number
  afterMerge: number
  linkingProfiles: number[]
  /** To be called after the commit. */
  remember(): void
}

/** Another group claimed an id or merged a profile of this one; starting again finds its work. */
export class IdentityRace extends Error {
  override readonly name = 'IdentityRace'
}

/** At home: who the ids mean, with the new ids claimed. Their profiles are still to be made (`makePeople`). */
export async function resolvePeople(tx: Transaction, events: NormalEvent[], cache: IdCache): Promise<People> {
  const { keys, linking } = collectIds(events)
  const afterMerge = await cache.sync(tx)
  const { known, resolution } = await resolveKnown(tx, events, { keys, linking, cache })
  const buckets = resolution.newProfiles.map((profile) => bucketOf(profile.firstId))
  const numbers = await takeProfileNumbers(tx, buckets)
  const refs = new Map(resolution.newProfiles.map((profile, i) => [profile.ref, numbers[i] ?? 0]))
  const numberOf = (ref: ProfileRef) => (ref >= 0 ? ref : (refs.get(ref) ?? 0))
  const claimed = await insertIdentities(
    tx,
    resolution.newIdentities.map((identity) => ({
      key: identity.key,
      profileId: numberOf(identity.ref),
      link: identity.link,
    })),
  )
  if (!claimed) throw new IdentityRace('another group claimed an id first')
  const profileOf = new Map([...resolution.profileOf].map(([key, ref]) => [key, numberOf(ref)]))
  const linkingProfiles = [...linking].flatMap((key) => profileOf.get(key) ?? [])
  return {
    remember: () => cache.put(entriesToRemember(known, resolution, numberOf)),
    profileOf,
    resolution,
    numberOf,
    afterMerge,
    linkingProfiles: [...new Set(linkingProfiles)],
  }
}

/** Bucket ranges with rows of people that the group reads or writes. */
export function rangesOfPeople({ profileOf, resolution, numberOf }: People): Set<number> {
  const profileIds = [
    ...profileOf.values(),
    ...resolution.newProfiles.map(({ ref }) => numberOf(ref)),
    ...resolution.takenOver,
    ...resolution.gainedUser.map((entry) => numberOf(entry.profileId)),
    ...resolution.merges.flatMap(({ loser, winner }) => [loser, winner]),
    ...resolution.moves.flatMap(({ from, to }) => [numberOf(from), numberOf(to)]),
  ]
  return new Set(profileIds.map(rangeOfProfile))
}

export async function makePeople(
  joint: JointTransaction,
  events: NormalEvent[],
  { profileOf, resolution, numberOf }: People,
): Promise<void> {
  const times = timesByProfile(events, profileOf)
  const rows = resolution.newProfiles.map((profile) => {
    const profileId = numberOf(profile.ref)
    const seen = times.get(profileId) ?? { first: 0, last: 0 }
    return {
      profileId,
      bucket: profileId % 1024,
      firstId: profile.firstId,
      userId: profile.userId,
      firstSeen: seen.first,
      lastSeen: seen.last,
    }
  })
  await joint.each(rows, (row) => rangeOfProfile(row.profileId), insertProfiles)
}

/**
 * Decides with what the cache knows; when that would join people, decides again with what the table says of the ids
 * that appear beside each other, because a cached link or a missing user may be older than the table's.
 */
async function resolveKnown(
  tx: Transaction,
  events: NormalEvent[],
  ids: { keys: Set<IdKey>; linking: Set<IdKey>; cache: IdCache },
): Promise<{ known: Map<IdKey, KnownId>; resolution: Resolution }> {
  const known = new Map<IdKey, KnownId>()
  const missing: IdKey[] = []
  for (const key of ids.keys) {
    const cached = ids.cache.get(key)
    if (cached === undefined || (!cached.hasUser && ids.linking.has(key))) missing.push(key)
    else known.set(key, cached)
  }
  for (const [key, stored] of await readIdentities(tx, missing, ids.linking)) known.set(key, stored)
  const resolution = resolveIdentities(events, known)
  const joins =
    resolution.merges.length + resolution.moves.length + resolution.gainedUser.length > 0 ||
    resolution.newIdentities.some((identity) => identity.ref >= 0)
  if (!joins || missing.length === ids.keys.size) return { known, resolution }
  const read = new Set(missing)
  const again = [...ids.linking].filter((key) => !read.has(key))
  for (const [key, stored] of await readIdentities(tx, again, ids.linking)) known.set(key, stored)
  return { known, resolution: resolveIdentities(events, known) }
}

/** Ids whose profile this group does not change: what was read, and what it claimed. */
function* entriesToRemember(
  known: Map<IdKey, KnownId>,
  resolution: Resolution,
  numberOf: (ref: ProfileRef) => number,
): Generator<[IdKey, KnownId]> {
  if (resolution.merges.length + resolution.moves.length > 0) return
  yield* known
  for (const { key, ref, link } of resolution.newIdentities) {
    yield [key, { profileId: numberOf(ref), hasUser: key.startsWith('u:') || link !== undefined, link }]
  }
}

/** All ids of the group, and those that appear beside another id (only these can merge anything). */
function collectIds(events: Mention[]): { keys: Set<IdKey>; linking: Set<IdKey> } {
  const keys = new Set<IdKey>()
  const linking = new Set<IdKey>()
  for (const event of events) {
    const { user, anonymous, previous } = idsOf(event)
    if (user !== undefined) keys.add(user)
    if (anonymous !== undefined) keys.add(anonymous)
    for (const key of previous) keys.add(key)
    if (user !== undefined && (anonymous !== undefined || previous.length > 0)) {
      linking.add(user)
      if (anonymous !== undefined) linking.add(anonymous)
      for (const key of previous) linking.add(key)
    }
  }
  return { keys, linking }
}

function timesByProfile(events: NormalEvent[], profileOf: Map<IdKey, number>) {
  const times = new Map<number, { first: number; last: number }>()
  for (const event of events) {
    const key = ownerKey(event)
    const profileId = key === undefined ? undefined : profileOf.get(key)
    if (profileId === undefined) continue
    const seen = times.get(profileId)
    if (seen === undefined) times.set(profileId, { first: event.time, last: event.time })
    else {
      if (event.time < seen.first) seen.first = event.time
      if (event.time > seen.last) seen.last = event.time
    }
  }
  return times
}

/**
 * Before anybody is written: a group that merges locks the people it will merge together with those it touches, in one
 * order. Were they locked under the merge lock, a group that holds one of them and waits for that lock would stop all.
 */
export async function lockPeople(
  joint: JointTransaction,
  touched: { profileId: number }[],
  { resolution, numberOf }: People,
): Promise<void> {
  const merging = [
    ...resolution.merges.flatMap(({ loser, winner }) => [loser, winner]),
    ...resolution.moves.flatMap(({ from, to }) => [numberOf(from), numberOf(to)]),
    ...resolution.takenOver,
  ]
  if (merging.length === 0) return
  const all = new Set([...merging, ...touched.map((one) => one.profileId)])
  await joint.each([...all], rangeOfProfile, lockProfiles)
}

/** Links, user ids, merges and moves: last, so that the exclusive lock is held only from here to the commit. */
export async function finishPeople(
  joint: JointTransaction,
  people: People,
  fence: ServedFence,
): Promise<void> {
  const { resolution, numberOf } = people
  const { home } = joint
  const merging = resolution.merges.length > 0 || resolution.moves.length > 0
  const overtaken = await lockMerges(home, {
    exclusive: merging,
    afterMerge: people.afterMerge,
    profileIds: [
      ...new Set(people.profileOf.values()),
      ...resolution.merges.map((merge) => merge.loser),
      ...resolution.moves.map((move) => move.from),
    ],
  })
  if (overtaken) throw new IdentityRace('a profile of this group was merged meanwhile')
  // Two users who log in on one new device at the same time: the second group must see that the device is taken.
  await joint.each(resolution.takenOver, rangeOfProfile, async (tx, profileIds) => {
    if (!(await lockAnonymous(tx, profileIds)))
      throw new IdentityRace('an anonymous profile of this group got a user meanwhile')
  })
  const linked = await updateLinks(
    home,
    resolution.changedLinks.map((entry) => ({
      key: entry.key,
      profileId: numberOf(entry.ref),
      link: entry.link,
    })),
  )
  if (resolution.moves.some((move) => !linked.has(move.anonymousId)))
    throw new IdentityRace('an anonymous id of this group was linked earlier meanwhile')
  await joint.each(
    resolution.gainedUser.map((entry) => ({ profileId: numberOf(entry.profileId), userId: entry.userId })),
    (entry) => rangeOfProfile(entry.profileId),
    setUserIds,
  )
  for (const { loser, winner } of resolution.merges) await mergeProfiles(joint, loser, winner)
  for (const move of resolution.moves)
    await moveAnonymous(joint, move.anonymousId, numberOf(move.from), numberOf(move.to))
  await fence(
    joint,
    resolution.merges.map(({ loser }) => loser),
  )
}
