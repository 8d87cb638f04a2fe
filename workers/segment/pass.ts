// One pass: evaluate every live segment for the touched profiles, from their own rows, and write what changed together
// with the timers, in one transaction under the locks of their shards. Re-evaluating is always safe.
import { bucketsOfShard, shardOfProfile } from '../../domain/buckets.ts'
import { askedEvents } from '../../domain/segments/asked.ts'
import { decide, EMPTY_SCAN, type ScanValue } from '../../domain/segments/decide.ts'
import type { Scan } from '../../domain/segments/plan.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { TouchedUsers } from '../../schema/jobs.ts'
import {
  type MembershipChange,
  type ProfileState,
  readMembershipsOf,
  readProfileStates,
  tryLockShards,
  writeChanges,
  writeTimers,
} from '../../store/memberships.ts'
import { readEventIds, runScans } from '../../store/scans.ts'
import type { LiveSegment } from '../../store/segments.ts'
import { expectFewKeys, inTransaction, type Sql } from '../../store/sql.ts'
import type { SegmentCatalog } from '../live-segments.ts'

export type PassInput = {
  shards: number
  /** The profiles to evaluate, and what a change of each is put down to. */
  reasons: Map<number, TouchedUsers['reason']>
  /** What new events a profile has, by their numbers: without one that a rule asks for it is left out. Absent = evaluate. */
  eventIds?: Map<number, ReadonlySet<number>>
  clock: Clock
}
export type PassResult = {
  /** Shards that another process was writing: their profiles were left out and wait for the next pass. */
  busyShards: Set<number>
  asOfMs: number
  /** Profiles that were looked at; the others had no event that a rule asks for. */
  evaluated: number[]
  changes: MembershipChange[]
  timersWritten: boolean
  /** Segments of every profile whose memberships changed, for the serving cache. */
  memberships: Map<number, Set<number>>
}

/** On `sql`, the server with the rows of all these profiles; what is to be evaluated is read from `home`. */
export function runPass(
  { sql, home }: { sql: Sql; home: Sql },
  catalog: SegmentCatalog,
  input: PassInput,
): Promise<PassResult> {
  return inTransaction(sql, async (tx) => {
    const rules = sql === home ? tx : home
    const wanted = [
      ...new Set([...input.reasons.keys()].map((profileId) => shardOfProfile(profileId, input.shards))),
    ]
    const locked = new Set(await tryLockShards(tx, wanted, input.shards))
    const busyShards = new Set(wanted.filter((shard) => !locked.has(shard)))
    const segments = await catalog.current(rules)
    const scansOfAll = distinctScans(segments)
    const needsTraits = segments.some((segment) => segment.plan.leaves.some((leaf) => leaf.k === 'trait'))
    const eventIds = await readEventIds(rules, askedEvents(segments.map((segment) => segment.plan)))
    const asked = new Set([...eventIds.values()].flat())
    const profileIds = [...input.reasons.keys()].filter(
      (profileId) =>
        locked.has(shardOfProfile(profileId, input.shards)) &&
        isAskedFor(input.eventIds?.get(profileId), asked),
    )
    // Taken after the locks: what was committed before it is seen by the statements below.
    const asOfMs = input.clock.now()
    const { from, to } = rangeOf([...locked], input.shards)
    if (profileIds.length === 0)
      return { busyShards, asOfMs, evaluated: [], changes: [], timersWritten: false, memberships: new Map() }
    await expectFewKeys(tx, profileIds.length)
    const states = await readProfileStates(tx, profileIds, needsTraits)
    const people = states.filter((state) => state.mergedInto === null)
    const scope = { people, bucketFrom: from, bucketTo: to, asOfMs }
    const scans = await runScans(tx, scansOfAll, scope, eventIds)
    const members = await readMembershipsOf(tx, profileIds)
    const outcome = states.map((state) =>
      evaluate(state, { segments, scans, members, asOfMs, reasons: input.reasons }),
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
      memberships: changedMemberships(changes, members),
    }
  })
}

function isAskedFor(eventIds: ReadonlySet<number> | undefined, asked: ReadonlySet<number>): boolean {
  if (eventIds === undefined) return true
  for (const eventId of eventIds) if (asked.has(eventId)) return true
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

function distinctScans(segments: LiveSegment[]): Scan[] {
  const scans = new Map<string, Scan>()
  for (const segment of segments) for (const scan of segment.plan.scans) scans.set(scan.key, scan)
  return [...scans.values()]
}

type Facts = {
  segments: LiveSegment[]
  scans: Map<string, Map<number, ScanValue>>
  members: Map<number, Set<number>>
  asOfMs: number
  reasons: PassInput['reasons']
}
type Evaluated = {
  changes: MembershipChange[]
  timer: { profileId: number; wakeAtMs: number | null } | undefined
}

function evaluate(state: ProfileState, facts: Facts): Evaluated {
  const { profileId } = state
  const inNow = facts.members.get(profileId) ?? new Set<number>()
  const merged = state.mergedInto !== null
  const reason = merged ? 'merged' : (facts.reasons.get(profileId) ?? 'event')
  // A change that time alone made happened when the timer was due, not when it was noticed.
  const effectiveAtMs =
    reason === 'time' && state.wakeAtMs !== null ? Math.min(state.wakeAtMs, facts.asOfMs) : facts.asOfMs
  const changes: MembershipChange[] = []
  const seen = new Set<number>()
  let wakeAtMs: number | null = null
  for (const segment of facts.segments) {
    seen.add(segment.segmentId)
    const values = new Map(
      segment.plan.scans.map((scan) => [scan.key, facts.scans.get(scan.key)?.get(profileId) ?? EMPTY_SCAN]),
    )
    const decision = merged ? { member: false, wakeAt: null } : decide(segment.plan, values, state.traits)
    if (decision.wakeAt !== null)
      wakeAtMs = wakeAtMs === null ? decision.wakeAt : Math.min(wakeAtMs, decision.wakeAt)
    if (decision.member === inNow.has(segment.segmentId)) continue
    const op = decision.member ? 'enter' : 'exit'
    changes.push({
      segmentId: segment.segmentId,
      profileId,
      op,
      reason,
      version: segment.version,
      effectiveAtMs,
    })
  }
  // Segments that are archived have no members.
  for (const segmentId of inNow) {
    if (!seen.has(segmentId))
      changes.push({ segmentId, profileId, op: 'exit', reason: 'rule_changed', version: 0, effectiveAtMs })
  }
  return { changes, timer: changedTimer(state, wakeAtMs, facts.asOfMs) }
}

/** Lazy: a stored wake-up that is earlier than needed is left alone until it is due. */
function changedTimer(state: ProfileState, wakeAtMs: number | null, asOfMs: number): Evaluated['timer'] {
  const stored = state.wakeAtMs
  if (stored === null) return wakeAtMs === null ? undefined : { profileId: state.profileId, wakeAtMs }
  const isDue = stored <= asOfMs
  if (wakeAtMs === null) return { profileId: state.profileId, wakeAtMs: null }
  return isDue || wakeAtMs < stored ? { profileId: state.profileId, wakeAtMs } : undefined
}

function changedMemberships(
  changes: MembershipChange[],
  before: Map<number, Set<number>>,
): Map<number, Set<number>> {
  const after = new Map<number, Set<number>>()
  for (const change of changes) {
    let segments = after.get(change.profileId)
    if (segments === undefined) {
      segments = new Set(before.get(change.profileId))
      after.set(change.profileId, segments)
    }
    if (change.op === 'enter') segments.add(change.segmentId)
    else segments.delete(change.segmentId)
  }
  return after
}
