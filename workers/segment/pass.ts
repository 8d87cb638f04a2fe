// One pass: evaluate every live segment for the touched profiles, from their own rows, and write what changed together
// with the timers, in one transaction under the locks of their shards. Re-evaluating is always safe.
import type { ServedPerson, Stamp } from '../../cache/memberships.ts'
import { hashedAddresses } from '../../domain/addresses.ts'
import { bucketsOfShard, shardOfProfile } from '../../domain/buckets.ts'
import {
  askedBy,
  askedChannels,
  askedEvents,
  askedLists,
  askedSince,
  needsTraits,
  sentInputs,
} from '../../domain/segments/asked.ts'
import { decide, endOf, factsFor, lastChange } from '../../domain/segments/decide.ts'
import { metricsOf } from '../../domain/segments/deciding.ts'
import { type EventIndex, indexEvents, type Suppressed } from '../../domain/segments/facts.ts'
import type { Plan } from '../../domain/segments/plan.ts'
import { closureOf } from '../../domain/segments/references.ts'
import { NEVER } from '../../domain/segments/timed.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { TouchedUsers } from '../../schema/jobs.ts'
import { type EventIds, keyOf, readEventIds, readHistories } from '../../store/histories.ts'
import { readListsOf } from '../../store/list-members.ts'
import {
  awaitShards,
  type MembershipChange,
  type ProfileState,
  readMembershipsOf,
  readProfileStates,
  tryLockShards,
  writeChanges,
  writeTimers,
} from '../../store/memberships.ts'
import { readSuppressed } from '../../store/reach.ts'
import { swappingOf } from '../../store/segment-swaps.ts'
import type { LiveSegment } from '../../store/segments.ts'
import { readSentMessages } from '../../store/sent-messages.ts'
import { stampOf } from '../../store/served-memberships.ts'
import { expectFewKeys, inTransaction, type Sql } from '../../store/sql.ts'
import type { SegmentCatalog } from '../live-segments.ts'
import { noteAddresses } from './reach.ts'

export type PassInput = {
  shards: number
  /** The profiles to evaluate, and what a change of each is put down to. */
  reasons: Map<number, TouchedUsers['reason']>
  /** What new events a profile has, by their numbers: without one that a rule asks for it is left out. Absent = evaluate. */
  eventIds?: Map<number, ReadonlySet<number>>
  /** Only these segments are evaluated, negative = shadows; and the pass waits for its shards. Absent = all, no waiting. */
  only?: ReadonlySet<number>
  clock: Clock
  /** Suppressed addresses are known by hashes with this key. */
  secret?: string
}
export type PassResult = {
  /** Shards that another process was writing: their profiles were left out and wait for the next pass. */
  busyShards: Set<number>
  asOfMs: number
  /** Profiles that were looked at; the others had no event that a rule asks for. */
  evaluated: number[]
  changes: MembershipChange[]
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
  const noted = (await catalog.current(home)).segments.map((segment) => segment.plan)
  await noteAddresses({ sql, home }, noted, { profileIds: [...input.reasons.keys()], secret })
  return inTransaction(sql, async (tx) => {
    const rules = sql === home ? tx : home
    const wanted = [
      ...new Set([...input.reasons.keys()].map((profileId) => shardOfProfile(profileId, input.shards))),
    ]
    if (input.only !== undefined) await awaitShards(tx, wanted, input.shards)
    const locked = new Set(input.only === undefined ? await tryLockShards(tx, wanted, input.shards) : wanted)
    const busyShards = new Set(wanted.filter((shard) => !locked.has(shard)))
    const { generation, segments } = await catalog.current(rules)
    const bySlug = new Map(segments.filter((one) => one.segmentId > 0).map(({ slug, plan }) => [slug, plan]))
    const asked = segments.filter((one) => input.only?.has(one.segmentId) !== false)
    const plans = [...new Set(asked.flatMap((one) => closureOf(one.plan, bySlug)))]
    const eventIds = await readEventIds(rules, askedEvents(plans))
    const askedIds = new Set([...eventIds.values()].flat().map((one) => one.eventId))
    const profileIds = [...input.reasons.keys()].filter(
      (profileId) =>
        locked.has(shardOfProfile(profileId, input.shards)) &&
        isAskedFor(input.eventIds?.get(profileId), askedIds),
    )
    // Taken after the locks: what was committed before it is seen by the statements below.
    const asOfMs = input.clock.now()
    const { from, to } = rangeOf([...locked], input.shards)
    if (profileIds.length === 0)
      return { busyShards, asOfMs, evaluated: [], changes: [], timersWritten: false, served: NOBODY }
    await expectFewKeys(tx, profileIds.length)
    const [{ version, seen }, states] = await Promise.all([
      stampOf(tx),
      readProfileStates(tx, profileIds, plans.some(needsTraits), askedSince(plans)),
    ])
    const people = states.filter((state) => state.mergedInto === null)
    const building = asked.map((one) => one.building?.sinceMs ?? asOfMs)
    const earliestMs = Math.min(earliestAsked(people, asOfMs), ...building)
    const scope = { people, bucketFrom: from, bucketTo: to, asOfMs: earliestMs }
    const inputs = plans.flatMap((plan) => plan.inputs)
    const histories = await readHistories(tx, inputs, scope, eventIds)
    const members = await readMembershipsOf(tx, profileIds)
    const lists = await readListsOf(rules, askedLists(plans), profileIds)
    const suppressed = await readSuppressed(rules, hashedAddresses(askedChannels(plans), people, secret))
    const sent = await readSentMessages(sentInputs(plans), {
      home: rules,
      of: (profileId) => (of(profileId) === sql ? tx : of(profileId)),
      profileIds: people.map((one) => one.profileId),
      asOfMs: scope.asOfMs,
    })
    const live = new Set(segments.map((segment) => segment.segmentId))
    const swapping = swappingOf(segments)
    const asking = asked.map((segment) => ({
      segment,
      eventIds: numbersOf(closureOf(segment.plan, bySlug), eventIds),
    }))
    const outcome = states.map((state) =>
      evaluate(state, {
        asking,
        live,
        swapping,
        isPartial: input.only !== undefined,
        bySlug,
        events: indexEvents([
          ...(histories.get(state.profileId) ?? []),
          ...(sent.get(state.profileId) ?? []),
        ]),
        lists: lists.get(state.profileId) ?? new Set(),
        suppressed: suppressed.get(state.profileId),
        inNow: members.get(state.profileId) ?? new Set(),
        newEvents: input.eventIds?.get(state.profileId),
        reason: input.reasons.get(state.profileId) ?? 'event',
        asOfMs,
      }),
    )
    const changes = outcome.flatMap((one) => one.changes)
    await writeChanges(tx, changes)
    const timers = outcome.flatMap((one) => one.timer ?? [])
    await writeTimers(tx, timers)
    return {
      busyShards,
      asOfMs,
      evaluated: profileIds,
      changes,
      timersWritten: timers.length > 0,
      served: { stamp: { version, seen, generation }, people: outcome.map((one) => one.served) },
    }
  })
}

const NOBODY = { stamp: { version: 0, seen: 0, generation: 0 }, people: [] }

function isAskedFor(eventIds: ReadonlySet<number> | undefined, asked: ReadonlySet<number>): boolean {
  return eventIds === undefined || touches(eventIds, asked)
}

function touches(newEvents: ReadonlySet<number>, asked: ReadonlySet<number>): boolean {
  for (const eventId of newEvents) if (asked.has(eventId)) return true
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

type Asking = { segment: LiveSegment; eventIds: ReadonlySet<number> }

/** Numbers of the events that plans ask for. */
function numbersOf(plans: Plan[], eventIds: EventIds): ReadonlySet<number> {
  const named = plans.flatMap(askedBy).flatMap((one) => eventIds.get(keyOf(one)) ?? [])
  return new Set(named.map((one) => one.eventId))
}

type Known = {
  asking: Asking[]
  /** Numbers of all segments that there are, evaluated here or not. */
  live: ReadonlySet<number>
  swapping: ReadonlySet<number>
  /** Not all of them are evaluated. */
  isPartial: boolean
  bySlug: ReadonlyMap<string, Plan>
  events: EventIndex
  lists: ReadonlySet<string>
  suppressed: Suppressed | undefined
  inNow: Set<number>
  /** Only what these touch is evaluated; absent = everything. */
  newEvents: ReadonlySet<number> | undefined
  reason: TouchedUsers['reason']
  asOfMs: number
}
type Evaluated = {
  changes: MembershipChange[]
  timer: { profileId: number; wakeAtMs: number | null } | undefined
  served: ServedPerson
}

function evaluate(state: ProfileState, known: Known): Evaluated {
  const { profileId } = state
  const { asOfMs, inNow, newEvents, lists, suppressed } = known
  const merged = state.mergedInto !== null
  const reason = merged ? 'merged' : known.reason
  const changes: MembershipChange[] = []
  // Kept as they are stored unless they are evaluated here; drafts, whose numbers are negative, are not served.
  const stays = (segmentId: number) => !merged && segmentId > 0 && known.live.has(segmentId)
  const ends = new Map<number, number | undefined>([...inNow].filter(stays).map((id) => [id, undefined]))
  let wakeAt = NEVER
  let isWhole = !known.isPartial
  let swapsSeen = 0
  for (const { segment, eventIds } of known.asking) {
    const { segmentId, version, plan } = segment
    if (!merged && newEvents !== undefined && !touches(newEvents, eventIds)) {
      isWhole = false
      continue
    }
    if (known.swapping.has(segmentId)) swapsSeen += 1
    const facts = factsFor(plan, { ...state, events: known.events, lists, suppressed }, known.bySlug)
    const { holds, until } = merged ? { holds: false, until: NEVER } : decide(plan, facts, asOfMs)
    wakeAt = Math.min(wakeAt, until)
    if (holds && segmentId > 0) ends.set(segmentId, endOf(plan, facts, until))
    else ends.delete(segmentId)
    if (holds === inNow.has(segmentId)) continue
    // A change that time alone made happened at its instant, not when it was noticed.
    const sinceMs = reason === 'time' ? state.wakeAtMs : null
    const changedAt = sinceMs === null ? undefined : lastChange(plan, facts, sinceMs - 1, asOfMs)
    // Who was woken for what no event tells of is not where time alone would have them.
    const why = sinceMs !== null && changedAt === undefined ? 'event' : reason
    const effectiveAtMs = changedAt ?? asOfMs
    // A shadow's changes leave nothing behind.
    const metrics = merged || segmentId < 0 ? null : metricsOf(plan, facts, effectiveAtMs)
    const op = holds ? 'enter' : 'exit'
    const { building } = segment
    const wasIn = holds && building !== null && decide(plan, facts, building.sinceMs).holds
    changes.push({
      ...{ segmentId, profileId, op, version },
      // Who was in when the rule came entered by the rule, whatever it was that had him looked at before the run came by.
      reason: wasIn ? building.reason : why,
      effectiveAtMs,
      metrics,
    })
  }
  // Segments that are archived have no members.
  for (const segmentId of inNow) {
    if (!known.live.has(segmentId))
      changes.push({
        segmentId,
        profileId,
        op: 'exit',
        reason: 'rule_changed',
        version: 0,
        effectiveAtMs: asOfMs,
        metrics: null,
      })
  }
  return {
    changes,
    timer: changedTimer(state, wakeAt, { asOfMs, isWhole }),
    served: {
      ...{ profileId, mergedInto: state.mergedInto, ends },
      hasChanged: changes.some((one) => one.segmentId > 0),
      isOpen: swapsSeen < known.swapping.size,
    },
  }
}

/** Lazy: a stored wake-up that is earlier than needed is left alone until it is due, and everything is evaluated. */
function changedTimer(
  { profileId, wakeAtMs: stored }: ProfileState,
  wakeAt: number,
  { asOfMs, isWhole }: { asOfMs: number; isWhole: boolean },
): Evaluated['timer'] {
  const wanted = wakeAt === NEVER ? null : wakeAt
  if (stored === null) return wanted === null ? undefined : { profileId, wakeAtMs: wanted }
  if (isWhole && (wanted === null || stored <= asOfMs)) return { profileId, wakeAtMs: wanted }
  return wanted !== null && wanted < stored ? { profileId, wakeAtMs: wanted } : undefined
}
