// Identity resolution against a plain definition: any messages, in any order, in any groups, give the same people.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type IdKey,
  isBlockedId,
  type KnownId,
  type Link,
  type Mention,
  ownerKey,
  resolveIdentities,
} from '../../domain/identity.ts'
import { groupsOf, peopleOf } from '../support/identity-oracle.ts'
import { story } from '../support/random-identities.ts'

/** What the tables would hold: ids, profiles and the profile of every message. */
function createStore() {
  const identities = new Map<IdKey, { profileId: number; link: Link | undefined }>()
  const users = new Map<number, string | undefined>()
  const rows = new Map<string, { mention: Mention; profileId: number }>()
  let last = 0
  return {
    rows,
    identities,
    /** One group of messages, as persist takes it. */
    add(mentions: Mention[]) {
      const known = new Map<IdKey, KnownId>()
      for (const [key, { profileId, link }] of identities) {
        const hasUser = key.startsWith('u:') || users.get(profileId) !== undefined
        known.set(key, { profileId, hasUser, link })
      }
      const made = resolveIdentities(mentions, known)
      const numbers = new Map<number, number>()
      for (const profile of made.newProfiles) {
        last += 1
        numbers.set(profile.ref, last)
        users.set(last, profile.userId)
      }
      const numberOf = (ref: number) => (ref >= 0 ? ref : (numbers.get(ref) ?? Number.NaN))
      for (const { key, ref, link } of made.newIdentities)
        identities.set(key, { profileId: numberOf(ref), link })
      for (const mention of mentions) {
        const key = ownerKey(mention)
        const ref = key === undefined ? undefined : made.profileOf.get(key)
        rows.set(mention.messageId, { mention, profileId: numberOf(ref ?? Number.NaN) })
      }
      for (const { key, ref, link } of made.changedLinks)
        identities.set(key, { profileId: numberOf(ref), link })
      for (const { profileId, userId } of made.gainedUser)
        users.set(profileId, users.get(profileId) ?? userId)
      for (const { loser, winner } of made.merges) {
        for (const row of rows.values()) if (row.profileId === loser) row.profileId = numberOf(winner)
        for (const identity of identities.values())
          if (identity.profileId === loser) identity.profileId = numberOf(winner)
        users.set(numberOf(winner), users.get(numberOf(winner)) ?? users.get(loser))
      }
      for (const { anonymousId, from, to } of made.moves)
        for (const row of rows.values())
          if (
            row.profileId === numberOf(from) &&
            row.mention.anonymousId === anonymousId &&
            ownerKey(row.mention) === `a:${anonymousId}`
          )
            row.profileId = numberOf(to)
    },
  }
}

const scrambled = story.chain((mentions) =>
  fc
    .record({
      order: fc.shuffledSubarray(mentions, { minLength: mentions.length }),
      groupSize: fc.integer({ min: 1, max: 5 }),
    })
    .map((arrival) => ({ mentions, ...arrival })),
)

describe('who is who', () => {
  test('is the same in any order of arrival and in any groups, shared devices and aliases included', () => {
    fc.assert(
      fc.property(scrambled, ({ mentions, order, groupSize }) => {
        const store = createStore()
        for (let at = 0; at < order.length; at += groupSize) store.add(order.slice(at, at + groupSize))
        const found = new Map([...store.rows].map(([messageId, row]) => [messageId, row.profileId]))
        expect(groupsOf(found)).toEqual(groupsOf(peopleOf(mentions)))
        for (const row of store.rows.values()) {
          const key = ownerKey(row.mention)
          expect(key === undefined ? undefined : store.identities.get(key)?.profileId).toBe(row.profileId)
        }
      }),
      { numRuns: 3000 },
    )
  })

  test('does not change when messages come again', () => {
    fc.assert(
      fc.property(scrambled, ({ mentions, order }) => {
        const store = createStore()
        store.add(mentions)
        const before = [...store.rows.values()].map((row) => row.profileId)
        store.add(order)
        for (const mention of order) store.add([mention])
        expect([...store.rows.values()].map((row) => row.profileId)).toEqual(before)
      }),
    )
  })

  test('ids that stand for nobody join nobody', () => {
    for (const id of ['null', ' NULL ', 'undefined', 'Guest', '0', '-1', 'NaN', '[object Object]'])
      expect(isBlockedId(id)).toBe(true)
    for (const id of ['nullable', '00', '10', 'guest-1']) expect(isBlockedId(id)).toBe(false)
    const made = resolveIdentities(
      [
        { userId: 'guest', anonymousId: 'd1', time: 1, messageId: 'a' },
        { userId: 'guest', anonymousId: 'd2', time: 2, messageId: 'b' },
      ],
      new Map(),
    )
    expect(made.newProfiles).toHaveLength(2)
  })
})
