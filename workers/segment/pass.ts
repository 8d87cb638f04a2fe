// One pass: evaluate every live segment for the touched profiles, from their own rows, and write what changed together
// with the timers and the row of the pass, in one transaction under the locks of their shards. Re-evaluating is always safe.
import type { ServedPerson, Stamp } from '../../cache/memberships.ts'
import { hashedAddresses } from '../../domain/addresses.ts'
import { type CampaignOfSegment, isTrigger, type PendingChange } from '../../domain/announce.ts'
import { bucketsOfShard, shardOfProfile } from '../../domain/buckets.ts'
import { indexEvents } from '../../domain/segments/facts.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { TouchedUsers } from '../../schema/jobs.ts'
import { activeCampaigns, pendingChangesOf } from '../../store/announcements.ts'
import { readHistories } from '../../store/histories.ts'
import { readListsOf } from '../../store/list-members.ts'
import {
  awaitShards,
  changeStatements,
  type MembershipChange,
  type ProfileState,
  readMembershipsOf,
  readProfileStates,
  timerStatements,
  tryLockShards,
} from '../../store/memberships.ts'
import { readSuppressed } from '../../store/reach.ts'
import { type NewPass, passStatement } from '../../store/segment-passes.ts'
import { readSentMessages } from '../../store/sent-messages.ts'
import { stampOf } from '../../store/served-memberships.ts'
import { expectKeys, inTransaction, type Sql, type Transaction } from '../../store/sql.ts'
import type { SegmentCatalog } from '../live-segments.ts'
import type { EventNumbers, Questions } from '../segment-questions.ts'
import { type Evaluated, evaluate } from './evaluate.ts'
import { noteAddresses } from './reach.ts'

export type PassInput = {
  shards: number
  /** The profiles to evaluate, and what a change of each is put down to. */
  reasons: Map<number, TouchedUsers['reason']>
  /** What new events a profile has, by their numbers: without one that a rule asks for it is left out. Absent = evaluate. */
  eventIds?: Map<number, ReadonlySet<number>>
  /** Only these segments are evaluated, negative = shadows; and the pass waits for its shards. Absent = all, no waiting. */
  only?: ReadonlySet<number>
  /** When the earliest of what touched each profile was received (ms), for the row of the pass; runs have none. */
  receivedAt?: ReadonlyMap<number, number>
  clock: Clock
  /** Suppressed addresses are known by hashes with this key. */
  secret?: string
}
export type PassResult = {
  /** Shards that another process was writing: their profiles were left out and wait for the next pass. */
  busyShards: Set<number>
  asOfMs: number
  changes: MembershipChange[]
  /** Of who was evaluated, what nobody has been told: of this pass, and what an earlier attempt committed (law 2). */
  pending: PendingChange[]
  timersWritten: boolean
  /** Of everybody who was looked at, for the serving cache. */
  served: { stamp: Stamp; people: ServedPerson[] }
}

/**
 * On `sql`, the server with the rows of all these profiles; what is to be evaluated is read from `home`. `of` = the server of
 * any profile: what was sent to somebody before a merge may be on another.
 */
export async function runPass(
  { sql, home, of = () => sql }: { sql: Sql; home: Sql; of?: (profileId: number) => Sql },
  catalog: SegmentCatalog,
  input: PassInput,
): Promise<PassResult> {
  const { secret = '' } = input
  const { channels } = await catalog.questions(home)
  await noteAddresses({ sql, home }, channels, { profileIds: [...input.reasons.keys()], secret })
  return inTransaction(sql, async (tx) => {
    const rules = sql === home ? tx : home
    const [, locked] = await Promise.all([expectKeys(tx), lockShards(tx, input)])
    const busyShards = new Set(shardsOf(input).filter((shard) => !locked.has(shard)))
    const nothing = { busyShards, changes: [], pending: [], timersWritten: false, served: NOBODY }
    if (locked.size === 0) return { ...nothing, asOfMs: input.clock.now() }
    const questions = await catalog.questions(rules, input.only)
    const numbers = await questions.numbers(rules)
    const touched = [...input.reasons.keys()].filter((one) => locked.has(shardOfProfile(one, input.shards)))
    const profileIds = touched.filter((one) => isAskedFor(input.eventIds?.get(one), numbers.askedBy))
    // Taken after the locks: what was committed before it is seen by the statements below.
    const asOfMs = input.clock.now()
    const row = {
      ...{ asOfMs, shards: [...locked], ...touchOf(input, touched, asOfMs) },
      ...{ profiles: touched.length, evaluated: profileIds.length, segments: questions.asking.length },
    }
    if (profileIds.length === 0) {
      await writeFindings(tx, [], row, { touched, campaigns: [] })
      return { ...nothing, asOfMs }
    }
    const range = rangeOf([...locked], input.shards)
    const asked = { questions, numbers, profileIds, range, asOfMs }
    const { stamp, outcome } = await evaluateAll({ tx, rules, sql, of }, input, asked)
    // Whoever makes a campaign after this look did so after these people moved.
    const campaigns = outcome.some((one) => one.changes.length > 0) ? await activeCampaigns(rules) : []
    // The look for what nobody was told is sent after what it is to see.
    const written = writeFindings(tx, outcome, row, { touched, campaigns })
    const [{ changes, timersWritten }, pending] = await Promise.all([
      written,
      pendingChangesOf(tx, profileIds),
    ])
    return {
      busyShards,
      asOfMs,
      changes,
      pending,
      timersWritten,
      served: {
        stamp: { ...stamp, generation: questions.generation },
        people: outcome.map((one) => one.served),
      },
    }
  })
}

const NOBODY = { stamp: { version: 0, seen: 0, generation: 0 }, people: [] }

function shardsOf({ reasons, shards }: PassInput): number[] {
  return [...new Set([...reasons.keys()].map((profileId) => shardOfProfile(profileId, shards)))]
}

async function lockShards(tx: Transaction, input: PassInput): Promise<Set<number>> {
  const wanted = shardsOf(input)
  if (input.only === undefined) return new Set(await tryLockShards(tx, wanted, input.shards))
  await awaitShards(tx, wanted, input.shards)
  return new Set(wanted)
}

type Stores = { tx: Transaction; rules: Sql | Transaction; sql: Sql; of: (profileId: number) => Sql }
type Asked = {
  questions: Questions
  numbers: EventNumbers
  profileIds: number[]
  range: { from: number; to: number }
  asOfMs: number
}

/** Reads what is known of the people, everything once for all segments, and decides. */
async function evaluateAll(
  { tx, rules, sql, of }: Stores,
  input: PassInput,
  { questions, numbers, profileIds, range, asOfMs }: Asked,
): Promise<{ stamp: Pick<Stamp, 'version' | 'seen'>; outcome: Evaluated[] }> {
  const { withTraits, sinceOf, buildingSinceMs } = questions
  const [{ version, seen }, states, members, lists] = await Promise.all([
    stampOf(tx),
    readProfileStates(tx, profileIds, withTraits, sinceOf),
    readMembershipsOf(tx, profileIds),
    readListsOf(rules, questions.lists, profileIds),
  ])
  const people = states.filter((state) => state.mergedInto === null)
  const earliestMs = Math.min(earliestAsked(people, asOfMs), buildingSinceMs)
  const wanted = wantedBy(numbers.lookedAt)
  const remembered = people.map((one) => ({ ...one, wanted: wanted(input.eventIds?.get(one.profileId)) }))
  const scope = { people: remembered, bucketFrom: range.from, bucketTo: range.to, asOfMs: earliestMs }
  const histories = await readHistories(tx, questions.inputs, scope, numbers.eventIds)
  const suppressed = await readSuppressed(
    rules,
    hashedAddresses(questions.channels, people, input.secret ?? ''),
  )
  const sent = await readSentMessages(questions.sent, {
    home: rules,
    of: (profileId) => (of(profileId) === sql ? tx : of(profileId)),
    profileIds: people.map((one) => one.profileId),
    asOfMs: scope.asOfMs,
  })
  const outcome = states.map((state) =>
    evaluate(state, {
      questions,
      askedBy: numbers.askedBy,
      isPartial: input.only !== undefined,
      events: indexEvents([...(histories.get(state.profileId) ?? []), ...(sent.get(state.profileId) ?? [])]),
      lists: lists.get(state.profileId) ?? new Set(),
      suppressed: suppressed.get(state.profileId),
      inNow: members.get(state.profileId) ?? new Set(),
      newEvents: input.eventIds?.get(state.profileId),
      reason: input.reasons.get(state.profileId) ?? 'event',
      asOfMs,
    }),
  )
  return { stamp: { version, seen }, outcome }
}

/** What the people were touched by, and how long ago the earliest of it was received. */
function touchOf(
  { reasons, receivedAt }: PassInput,
  touched: number[],
  asOfMs: number,
): Pick<NewPass, 'reasons' | 'lagMs'> {
  const found = new Set<string>()
  let earliestMs = Number.POSITIVE_INFINITY
  for (const profileId of touched) {
    found.add(reasons.get(profileId) ?? 'event')
    earliestMs = Math.min(earliestMs, receivedAt?.get(profileId) ?? Number.POSITIVE_INFINITY)
  }
  const lagMs = Number.isFinite(earliestMs) ? Math.max(0, asOfMs - earliestMs) : null
  return { reasons: [...found], lagMs }
}

/**
 * Everything that a pass writes, in one trip to Postgres whatever it is; the row of the pass comes last. Changes that nobody is
 * to be written to for are announced as they are: marking them later would write each a second time, with all its indexes.
 */
async function writeFindings(
  tx: Transaction,
  outcome: Evaluated[],
  row: Omit<NewPass, 'pairs' | 'entered' | 'exited'>,
  { touched: [profileId = 0], campaigns }: { touched: number[]; campaigns: CampaignOfSegment[] },
): Promise<{ changes: MembershipChange[]; timersWritten: boolean }> {
  const changes = outcome.flatMap((one) => one.changes)
  const timers = outcome.flatMap((one) => one.timer ?? [])
  const ops = changes.flatMap((one) => (one.segmentId > 0 ? [one.op] : []))
  const entered = ops.filter((op) => op === 'enter').length
  const pairs = outcome.reduce((sum, one) => sum + one.decided, 0)
  const isIdle = changes.length === 0 && timers.length === 0
  await Promise.all([
    ...changeStatements(tx, changes, (change) => isTrigger(change, campaigns)),
    ...timerStatements(tx, timers),
    passStatement(tx, { ...row, pairs, entered, exited: ops.length - entered }, { isIdle, profileId }),
  ])
  return { changes, timersWritten: timers.length > 0 }
}

/** The events that the segments of these new ones look at, made once for the same ones; undefined = all. */
function wantedBy(lookedAt: EventNumbers['lookedAt']) {
  const known = new Map<string, ReadonlySet<number>>()
  return (newEvents: ReadonlySet<number> | undefined): ReadonlySet<number> | undefined => {
    if (newEvents === undefined) return undefined
    const ids = [...newEvents]
    const [only] = ids
    if (ids.length === 1 && only !== undefined) return lookedAt.get(only)
    const key = ids.join()
    const found = known.get(key) ?? new Set(ids.flatMap((eventId) => [...(lookedAt.get(eventId) ?? [])]))
    known.set(key, found)
    return found
  }
}

function isAskedFor(eventIds: ReadonlySet<number> | undefined, askedBy: EventNumbers['askedBy']): boolean {
  if (eventIds === undefined) return true
  for (const eventId of eventIds) if (askedBy.has(eventId)) return true
  return false
}

/** The buckets that a set of shards lies within: what partitions can be pruned by. */
function rangeOf(shards: number[], total: number): { from: number; to: number } {
  if (shards.length === 0) return { from: 0, to: 0 }
  return {
    from: bucketsOfShard(Math.min(...shards), total).from,
    to: bucketsOfShard(Math.max(...shards), total).to,
  }
}

/** Timers that were not looked at in time are made up for: how people were just before they were due is asked too. */
function earliestAsked(people: ProfileState[], asOfMs: number): number {
  return people.reduce((earliest, { wakeAtMs }) => Math.min(earliest, (wakeAtMs ?? asOfMs) - 1), asOfMs)
}
