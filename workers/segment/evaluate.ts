// What a pass finds of one person: the segments that ask for what is new are decided, and compared with where the person is.
import type { ServedPerson } from '../../cache/memberships.ts'
import { decide, endOf, factsFor, lastChange } from '../../domain/segments/decide.ts'
import { metricsOf } from '../../domain/segments/deciding.ts'
import type { EventIndex, Suppressed } from '../../domain/segments/facts.ts'
import { NEVER, type Timed } from '../../domain/segments/timed.ts'
import type { TouchedUsers } from '../../schema/jobs.ts'
import type { MembershipChange, ProfileState } from '../../store/memberships.ts'
import type { LiveSegment } from '../../store/segments.ts'
import type { EventNumbers, Questions } from '../segment-questions.ts'

export type Known = {
  questions: Questions
  askedBy: EventNumbers['askedBy']
  /** Not all segments are evaluated: a timer is only ever made earlier. */
  isPartial: boolean
  events: EventIndex
  lists: ReadonlySet<string>
  suppressed: Suppressed | undefined
  /** Segments that the person is in by what is stored. */
  inNow: ReadonlySet<number>
  /** Numbers of what is new; absent = whatever it was. */
  newEvents: ReadonlySet<number> | undefined
  reason: TouchedUsers['reason']
  asOfMs: number
}
export type Evaluated = {
  changes: MembershipChange[]
  timer: { profileId: number; wakeAtMs: number | null } | undefined
  /** How many segments were decided. */
  decided: number
  served: ServedPerson
}

export function evaluate(state: ProfileState, known: Known): Evaluated {
  const { profileId } = state
  const { asOfMs, inNow, lists, suppressed } = known
  const { live, swapping, bySlug } = known.questions
  const merged = state.mergedInto !== null
  const reason = merged ? 'merged' : known.reason
  const changes: MembershipChange[] = []
  // Kept as they are stored unless they are evaluated here; drafts, whose numbers are negative, are not served.
  const stays = (segmentId: number) => !merged && segmentId > 0 && live.has(segmentId)
  const ends = new Map<number, number | undefined>([...inNow].filter(stays).map((id) => [id, undefined]))
  let wakeAt = NEVER
  let swapsSeen = 0
  const asking = merged ? known.questions.asking : askingFor(known)
  const person = { ...state, events: known.events, lists, suppressed }
  const answers = new Map<string, Timed>()
  for (const segment of asking) {
    const { segmentId, version, plan } = segment
    if (swapping.has(segmentId)) swapsSeen += 1
    const facts = factsFor(plan, person, bySlug, answers)
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
    if (!live.has(segmentId))
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
  const decided = asking.length
  const isWhole = !known.isPartial && decided === known.questions.asking.length
  return {
    changes,
    timer: changedTimer(state, wakeAt, { asOfMs, isWhole }),
    decided,
    served: {
      ...{ profileId, mergedInto: state.mergedInto, ends },
      hasChanged: changes.some((one) => one.segmentId > 0),
      isOpen: swapsSeen < swapping.size,
    },
  }
}

/** Those that ask for what is new; all of them when that is not known. */
function askingFor({ questions, newEvents, askedBy }: Known): readonly LiveSegment[] {
  if (newEvents === undefined) return questions.asking
  const found = [...newEvents].flatMap((eventId) => askedBy.get(eventId) ?? [])
  return newEvents.size === 1 ? found : [...new Set(found)]
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
