// What some segments ask for, worked out once for as long as they stay as they are: a pass with hundreds of segments must not walk
// through all their plans again, and an event costs only the segments that ask for it. Used by live-segments.ts.
import { type AskedEvent, askedBy, askedEvents, type Needs, needsOf } from '../domain/segments/asked.ts'
import type { Plan } from '../domain/segments/plan.ts'
import { closureOf } from '../domain/segments/references.ts'
import { type EventIds, keyOf, readEventIds } from '../store/histories.ts'
import { swappingOf } from '../store/segment-swaps.ts'
import type { LiveSegment } from '../store/segments.ts'
import type { Queryable } from '../store/sql.ts'

/** `segments` are those of the generation, or newer. */
export type EvaluatedSegments = { generation: number; segments: LiveSegment[] }

/** The needs are of what is evaluated, and of all that it refers to. */
export type Questions = Needs & {
  /** Of the segments that these are of, or older. */
  generation: number
  /** What is evaluated. */
  asking: LiveSegment[]
  /** Numbers of all segments that there are, shadows negative. */
  live: ReadonlySet<number>
  /** Live ones of which not everybody who moves has been evaluated yet. */
  swapping: ReadonlySet<number>
  /** Plans of all that are live. */
  bySlug: ReadonlyMap<string, Plan>
  /** When the first of those went live that a run still goes on for (ms); Infinity when there is none. */
  buildingSinceMs: number
  /** Those of now: a name that is asked for gets its number with its first event. */
  numbers(sql: Queryable): Promise<EventNumbers>
}

export type EventNumbers = {
  /** As readHistories takes them. */
  eventIds: EventIds
  /** By event number: the segments that ask for it, themselves or by what they refer to. */
  askedBy: ReadonlyMap<number, readonly LiveSegment[]>
  /** By event number: all events that those segments look at. */
  lookedAt: ReadonlyMap<number, ReadonlySet<number>>
}

/** `all` = every segment that there is; `only` = the numbers of those that are evaluated, absent = all of them. */
export function questionsOf(
  { generation, segments: all }: EvaluatedSegments,
  only?: ReadonlySet<number>,
): Questions {
  const bySlug = new Map(all.filter((one) => one.segmentId > 0).map(({ slug, plan }) => [slug, plan]))
  const asking = all.filter((one) => only?.has(one.segmentId) !== false)
  const plansOf = new Map(asking.map((one) => [one, closureOf(one.plan, bySlug)]))
  const plans = [...new Set([...plansOf.values()].flat())]
  return {
    generation,
    asking,
    live: new Set(all.map((one) => one.segmentId)),
    swapping: swappingOf(all),
    bySlug,
    ...needsOf(plans),
    buildingSinceMs: asking.reduce(
      (first, { building }) => Math.min(first, building?.sinceMs ?? Number.POSITIVE_INFINITY),
      Number.POSITIVE_INFINITY,
    ),
    numbers: eventNumbers(plansOf, askedEvents(plans)),
  }
}

/**
 * A name keeps its number for good, so only those are asked for again that had none, and the conditions on all events of a
 * type, which every new name of it belongs to.
 */
function eventNumbers(plansOf: ReadonlyMap<LiveSegment, Plan[]>, asked: AskedEvent[]): Questions['numbers'] {
  const named = new Map(asked.map((one) => [keyOf(one), one]))
  let known: EventNumbers = { eventIds: new Map(), askedBy: new Map(), lookedAt: new Map() }
  return async (sql) => {
    const { eventIds } = known
    const open = [...named].flatMap(([key, one]) => (one.event === '' || !eventIds.has(key) ? [one] : []))
    const found = open.length === 0 ? [] : [...(await readEventIds(sql, open))]
    if (found.some(([key, ids]) => known.eventIds.get(key)?.length !== ids.length)) {
      const all = new Map([...known.eventIds, ...found])
      known = { eventIds: all, ...segmentsByEvent(plansOf, all) }
    }
    return known
  }
}

function segmentsByEvent(
  plansOf: ReadonlyMap<LiveSegment, Plan[]>,
  eventIds: EventIds,
): Pick<EventNumbers, 'askedBy' | 'lookedAt'> {
  const segments = new Map<number, LiveSegment[]>()
  const lookedAt = new Map<number, Set<number>>()
  for (const [segment, plans] of plansOf) {
    const events = plans.flatMap(askedBy).flatMap((one) => eventIds.get(keyOf(one)) ?? [])
    const own = new Set(events.map((one) => one.eventId))
    for (const eventId of own) {
      const asking = segments.get(eventId)
      if (asking === undefined) segments.set(eventId, [segment])
      else asking.push(segment)
      const others = lookedAt.get(eventId)
      if (others === undefined) lookedAt.set(eventId, new Set(own))
      else for (const other of own) others.add(other)
    }
  }
  return { askedBy: segments, lookedAt }
}
