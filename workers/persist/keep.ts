// One group of events in one transaction, as a list of verbs: resolve who they belong to, claim each message id once,
// write the events that are new, then let what is derived (profiles, traits, sessions) follow from exactly those.
import { hash } from 'node:crypto'
import { rangeOfMessage, rangeOfProfile } from '../../domain/buckets.ts'
import { type IdKey, ownerKey } from '../../domain/identity.ts'
import { fail } from '../../runtime/errors.ts'
import type { NormalEvent } from '../../schema/event.ts'
import {
  type ClaimedBefore,
  claimMessageIdsAnew,
  claimNewMessageIds,
  copyEvents,
  type EventRow,
} from '../../store/events.ts'
import { recordFailedEvents } from '../../store/failed-events.ts'
import { recentLosers } from '../../store/identities.ts'
import { inJointTransaction, type JointTransaction } from '../../store/joint-transaction.ts'
import type { Servers } from '../../store/servers.ts'
import { expectKeys, type Transaction } from '../../store/sql.ts'
import type { Catalog } from './catalog.ts'
import { derive } from './derive.ts'
import { conflictingEvent } from './failed.ts'
import type { IdCache } from './id-cache.ts'
import { finishPeople, lockPeople, makePeople, type People, rangesOfPeople, resolvePeople } from './people.ts'
import type { ServedFence } from './served-fence.ts'

/**
 * Profiles that events of the group belong to; follows from the input, also when all of it was kept before (law 2).
 * `eventIds` = the numbers of what is new; empty = to be evaluated whatever it is: a new profile, which is in every
 * segment of those who never did something, one that got another's history or a user id, which a list may have, or one whose rows were kept by an attempt
 * that may not have told anybody.
 */
export type Touched = { profileId: number; reason: 'event' | 'late' | 'merged'; eventIds: number[] }
export type Kept = {
  events: number
  duplicates: number
  conflicts: number
  failed: number
  touched: Touched[]
}

/** What a process keeps between groups; `wary` = how many groups still look which message ids are there already. */
export type Memory = { catalog: Catalog; ids: IdCache; wary: number; fence: ServedFence }

/** Of more rows the planner is to know how many they are: whole tables may be the shorter way. */
const FEW_KEYS = 1000
const LATE_MS = 24 * 60 * 60 * 1000

/** `wary` = some ids may be there already. If one is and it is not wary, it throws what `isRepeatedMessageId` knows. */
export async function keepEvents(
  servers: Servers,
  memory: Memory,
  events: NormalEvent[],
  wary: boolean,
): Promise<Kept> {
  const { catalog, ids } = memory
  const { unique, conflicting, repeated } = withoutRepeats(events)
  const eventIds = await catalog.eventIds(unique)
  const begin = async (tx: Transaction) => {
    if (unique.length <= FEW_KEYS) await expectKeys(tx)
  }
  const { kept, people } = await inJointTransaction(servers, begin, async (home, join) => {
    const people = await resolvePeople(home, unique, ids)
    const rows = toRows(unique, eventIds, people.profileOf)
    await catalog.ensurePartitions(rows.map((row) => ({ bucket: row.bucket, timeMs: row.event.time })))
    const ranges = () => [...rangesOfPeople(people), ...rows.map(rangeOfRowsId)]
    const kept = await join(ranges, async (joint) => {
      const claimed = await claimMessages(joint, rows, wary)
      const before = new Set(claimed.map(({ row }) => row))
      const fresh = before.size === 0 ? rows : rows.filter((row) => !before.has(row))
      await makePeople(joint, unique, people)
      await joint.each(fresh, rangeOfRow, copyEvents)
      const again = claimed.filter(({ conflict }) => conflict).map(({ row }) => row.event)
      const conflicts = [...again, ...conflicting]
      await recordFailedEvents(home, conflicts.map(conflictingEvent))
      await lockPeople(joint, fresh, people)
      await joint.each(fresh, rangeOfRow, derive)
      await finishPeople(joint, people, memory.fence)
      return {
        events: fresh.length,
        duplicates: before.size - again.length + repeated,
        conflicts: conflicts.length,
        failed: 0,
        touched: await touchedOf(home, rows, before, people),
      }
    })
    return { kept, people }
  })
  people.remember()
  return kept
}

const rangeOfRow = (row: EventRow) => rangeOfProfile(row.profileId)
const rangeOfRowsId = (row: EventRow) => rangeOfMessage(row.id)

/** Claims the ids of all rows, each on its own server; returns the rows whose id somebody had claimed before. */
async function claimMessages(
  joint: JointTransaction,
  rows: EventRow[],
  wary: boolean,
): Promise<ClaimedBefore[]> {
  const before: ClaimedBefore[] = []
  await joint.each(rows, rangeOfRowsId, async (tx, some) => {
    if (wary) before.push(...(await claimMessageIdsAnew(tx, some)))
    else await claimNewMessageIds(tx, some)
  })
  return before
}

/** Repeats inside the group: the same payload counts as a duplicate, another payload as a conflict. */
function withoutRepeats(events: NormalEvent[]) {
  const first = new Map<string, NormalEvent>()
  const conflicting: NormalEvent[] = []
  let repeated = 0
  for (const event of events) {
    const earlier = first.get(event.messageId)
    if (earlier === undefined) first.set(event.messageId, event)
    else if (earlier.hash === event.hash) repeated += 1
    else conflicting.push(event)
  }
  return { unique: [...first.values()], conflicting, repeated }
}

function toRows(events: NormalEvent[], eventIds: number[], profileOf: Map<IdKey, number>): EventRow[] {
  return events.map((event, i) => {
    const key = ownerKey(event)
    const profileId = key === undefined ? undefined : profileOf.get(key)
    if (profileId === undefined) throw fail('invalid_event', `message has neither userId nor anonymousId`)
    const id = hash('sha256', event.messageId, 'hex').slice(0, 32)
    return { event, id, eventId: eventIds[i] ?? 0, bucket: profileId % 1024, profileId }
  })
}

async function touchedOf(
  tx: Transaction,
  rows: EventRow[],
  before: Set<EventRow>,
  people: People,
): Promise<Touched[]> {
  const touched = new Map<number, Touched>()
  const { newProfiles, newIdentities, merges, moves } = people.resolution
  const whatever = new Set(
    [
      ...newProfiles.map(({ ref }) => ref),
      ...newIdentities.filter(({ key }) => key.startsWith('u:')).map(({ ref }) => ref),
      ...merges.map(({ winner }) => winner),
      ...moves.flatMap(({ from, to }) => [from, to]),
    ].map(people.numberOf),
  )
  for (const row of rows) {
    const { event, eventId, profileId } = row
    if (before.has(row)) whatever.add(profileId)
    const reason = event.receivedAt - event.time > LATE_MS ? 'late' : 'event'
    // It may be the person's first, which says since when they are known.
    if (reason === 'late') whatever.add(profileId)
    const known = touched.get(profileId)
    if (known === undefined) {
      touched.set(profileId, { profileId, reason, eventIds: [eventId] })
      continue
    }
    if (reason === 'event') known.reason = 'event'
    if (!known.eventIds.includes(eventId)) known.eventIds.push(eventId)
  }
  for (const profileId of whatever) {
    const known = touched.get(profileId)
    if (known !== undefined) known.eventIds = []
  }
  // Also those an earlier attempt of this group merged away: found by the log, not by what this attempt did.
  for (const profileId of await recentLosers(tx, people.linkingProfiles))
    touched.set(profileId, { profileId, reason: 'merged', eventIds: [] })
  return [...touched.values()]
}
