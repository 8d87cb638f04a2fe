// The two ends of a difference, and what each of them says of people: two instants as known then, by the recorded changes; two
// instants as known now, by the live rule and the data of today; or two versions, both by the data of today.
import { BUCKETS, bucketOfProfile } from '../domain/buckets.ts'
import { decide, factsFor } from '../domain/segments/decide.ts'
import type { Plan } from '../domain/segments/plan.ts'
import { fail } from '../runtime/errors.ts'
import { openPlans, readPeople } from '../store/facts.ts'
import { profilesOfBuckets } from '../store/memberships.ts'
import { newestPersonOf, readStandings, readVersionPlans, type Standing } from '../store/segment-standings.ts'
import { type LiveSegment, liveSegments, type SegmentRow } from '../store/segments.ts'
import type { Sql } from '../store/sql.ts'
import type { ApiDeps } from './deps.ts'
import { instantAt } from './instants.ts'
import { meaningOf } from './people-walk.ts'

export type Ends = { from: string; to?: string | undefined; known?: 'then' | 'now' | undefined }

export type Comparison = {
  /** As they are shown: instants in UTC, or numbers of versions. */
  from: string
  to: string
  known: 'then' | 'now'
  /** Differs when the answer would be another for the same data. */
  meaning: string
  /** The next `count` people in an order of its own; fewer are the last. */
  next(afterProfileId: number | undefined, count: number): Promise<Standing[]>
  /** About how much of it lies before somebody in that order, below 1. */
  shareAt(afterProfileId: number): Promise<number>
  /** Of some people of one server; undefined where recorded changes are compared, which are read in their order. */
  look: ((sql: Sql, profileIds: number[]) => Promise<Standing[]>) | undefined
}

const VERSION = /^[1-9]\d{0,8}$/

/**
 * Opens what a query asks to be compared. `startedMs` = when the first request of a series came: the instant of what is left
 * out. Throws `invalid_request` for ends that do not go together, `not_found` for a version or live rule that is not there.
 */
export async function openComparison(
  deps: ApiDeps,
  segment: SegmentRow,
  query: Ends,
  startedMs: number,
): Promise<Comparison> {
  const isOfVersions = VERSION.test(query.from)
  if (query.to !== undefined && VERSION.test(query.to) !== isOfVersions)
    throw fail('invalid_request', 'from and to are two instants or two versions', { field: 'to' })
  if (isOfVersions) return compareVersions(deps, segment, query, startedMs)
  const fromMs = instantAt(query.from, 'from')
  const toMs = query.to === undefined ? startedMs : instantAt(query.to, 'to')
  const shown = { from: new Date(fromMs).toISOString(), to: new Date(toMs).toISOString() }
  if (query.known !== 'now') return { ...compareRecorded(deps, segment, fromMs, toMs), ...shown }
  const plan = livePlanOf(await liveSegments(deps.servers.home), segment)
  return { ...(await compareDecided(deps, segment, { plan, atMs: fromMs }, { plan, atMs: toMs })), ...shown }
}

/** Throws `not_found` when the segment is archived, or only a draft. */
export function livePlanOf(live: LiveSegment[], { segmentId }: SegmentRow): Plan {
  const plan = live.find((one) => one.segmentId === segmentId)?.plan
  if (plan === undefined)
    throw fail('not_found', 'no rule of the segment is live, so that it can be asked of what is known now', {
      field: 'segment',
    })
  return plan
}

function compareRecorded({ servers }: ApiDeps, { segmentId }: SegmentRow, fromMs: number, toMs: number) {
  return {
    known: 'then' as const,
    meaning: meaningOf([], new Map(), segmentId, fromMs, toMs),
    next: (afterProfileId = -1, limit: number) =>
      readStandings(servers, segmentId, { fromMs, toMs, afterProfileId, limit }),
    // Numbers are given evenly enough to say how far it is.
    shareAt: async (afterProfileId: number) =>
      Math.min(0.99, afterProfileId / Math.max(1, await newestPersonOf(servers, segmentId))),
    look: undefined,
  }
}

async function compareVersions(
  deps: ApiDeps,
  segment: SegmentRow,
  { from, to = String(segment.liveVersion ?? ''), known }: Ends,
  startedMs: number,
): Promise<Comparison> {
  if (known === 'then')
    throw fail('invalid_request', 'two versions are compared by what is known now', { field: 'known' })
  if (to === '') throw fail('invalid_request', 'no version is live: say which one', { field: 'to' })
  const plans = await readVersionPlans(deps.servers.home, segment.segmentId, [Number(from), Number(to)])
  const sideOf = (version: string, field: string) => {
    const plan = plans.get(Number(version))
    if (plan === undefined)
      throw fail('not_found', `the segment has no version ${version}: see its versions`, { field })
    return { plan, atMs: startedMs }
  }
  return { ...(await compareDecided(deps, segment, sideOf(from, 'from'), sideOf(to, 'to'))), from, to }
}

type Side = { plan: Plan; atMs: number }

async function compareDecided(deps: ApiDeps, { segmentId }: SegmentRow, from: Side, to: Side) {
  const { servers } = deps
  const sides = [from, to]
  const asked = await openPlans(deps, [from.plan, to.plan], await liveSegments(servers.home))
  const earliestMs = Math.min(from.atMs, to.atMs)
  const look = async (sql: Sql, profileIds: number[]): Promise<Standing[]> => {
    const people = await readPeople(sql, asked, profileIds, earliestMs)
    return people.map((person) => {
      const [was = false, is = false] = sides.map(
        ({ plan, atMs }) => decide(plan, factsFor(plan, person, asked.plans), atMs).holds,
      )
      return { profileId: person.profileId, was, is }
    })
  }
  const plans = sides.map(({ plan }) => plan)
  const times = sides.map(({ atMs }) => atMs)
  return {
    known: 'now' as const,
    meaning: meaningOf(plans, asked.plans, segmentId, times),
    look,
    shareAt: async (afterProfileId: number) => bucketOfProfile(afterProfileId) / BUCKETS,
    async next(afterProfileId: number | undefined, limit: number) {
      const everybody = { from: 0, to: BUCKETS - 1, afterProfileId, limit }
      const profileIds = await profilesOfBuckets(servers, everybody)
      const found = new Map<number, Standing>()
      for (const [sql, own] of Map.groupBy(profileIds, servers.of))
        for (const one of await look(sql, own)) found.set(one.profileId, one)
      // Whoever was erased between the two reads is in neither.
      return profileIds.map((profileId) => found.get(profileId) ?? { profileId, was: false, is: false })
    },
  }
}
