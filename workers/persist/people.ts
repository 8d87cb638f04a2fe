// Who the events of a group belong to: ids are resolved and claimed at the start of the transaction; links, user ids,
// merges and moves are written at its end, under the merge lock, so that the lock is held only until the commit.
import { bucketOf } from '../../domain/buckets.ts'
import {
  type IdKey,
  idsOf,
  type Mention,
  ownerKey,
  type ProfileRef,
  type Resolution,
  resolveIdentities,
} from '../../domain/identity.ts'
import type { NormalEvent } from '../../schema/event.ts'
import {
  insertIdentities,
  lastMerge,
  lockMerges,
  readIdentities,
  takeProfileNumbers,
  updateLinks,
} from '../../store/identities.ts'
import { mergeProfiles, moveAnonymous } from '../../store/merges.ts'
import { insertProfiles, setUserIds } from '../../store/profiles-write.ts'
import type { Transaction } from '../../store/sql.ts'

export type People = {
  profileOf: Map<IdKey, number>
  resolution: Resolution
  numberOf(ref: ProfileRef): number
  afterMerge: number
  linkingProfiles: number[]
}

/** Another group claimed an id or merged a profile of this one; starting again finds its work. */
export class IdentityRace extends Error {
  override readonly name = 'IdentityRace'
}

export async function resolvePeople(tx: Transaction, events: NormalEvent[]): Promise<People> {
  const { keys, linking } = collectIds(events)
  const afterMerge = await lastMerge(tx)
  const known = await readIdentities(tx, [...keys], linking)
  const resolution = resolveIdentities(events, known)
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
  const times = timesByProfile(events, profileOf)
  await insertProfiles(
    tx,
    resolution.newProfiles.map((profile) => {
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
    }),
  )
  const linkingProfiles = [...linking].flatMap((key) => profileOf.get(key) ?? [])
  return { profileOf, resolution, numberOf, afterMerge, linkingProfiles: [...new Set(linkingProfiles)] }
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

/** Links, user ids, merges and moves: last, so that the exclusive lock is held only from here to the commit. */
export async function finishPeople(tx: Transaction, people: People): Promise<void> {
  const { resolution, numberOf } = people
  const merging = resolution.merges.length > 0 || resolution.moves.length > 0
  const overtaken = await lockMerges(tx, {
    exclusive: merging,
    afterMerge: people.afterMerge,
    profileIds: [...new Set(people.profileOf.values()), ...resolution.merges.map((merge) => merge.loser)],
  })
  if (overtaken) throw new IdentityRace('a profile of this group was merged meanwhile')
  await updateLinks(
    tx,
    resolution.changedLinks.map((entry) => ({
      key: entry.key,
      profileId: numberOf(entry.ref),
      link: entry.link,
    })),
  )
  await setUserIds(
    tx,
    resolution.gainedUser.map((entry) => ({ profileId: numberOf(entry.profileId), userId: entry.userId })),
  )
  for (const { loser, winner } of resolution.merges) await mergeProfiles(tx, loser, winner)
  for (const move of resolution.moves)
    await moveAnonymous(tx, move.anonymousId, numberOf(move.from), numberOf(move.to))
}
