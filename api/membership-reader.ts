// Who is in which segments now, from Redis, by a user id or a profile number. What Redis does not know is looked up in Postgres
// once for all who ask, and Redis is told; while Redis is away, Postgres answers.
//
// An entry or exit shows once its pass has written Redis, some milliseconds after its commit and before its jobs are
// acknowledged; what ends by time shows at its instant. Merges and changes of segments are never answered as they were before,
// once they are committed: a merge makes the value of who is merged away unsure before it commits, a change of a segment
// changes the token, and what Redis says by the rule of before is not believed. What Redis could not be told is in Postgres, where
// every reader looks once a second (api/served-segments.ts). A user id is remembered with a profile that it means or meant, and
// that profile's value says into which it went.
import { type CacheAnswer, createAsker } from '../cache/ask.ts'
import type { Cache } from '../cache/connect.ts'
import { forgetKnownUser, readKnownUser, writeKnownUser } from '../cache/known-users.ts'
import { readServed, type ServedFound, warmServed } from '../cache/memberships.ts'
import { readSegmentToken } from '../cache/segment-token.ts'
import { NEVER } from '../domain/segments/timed.ts'
import type { Ends } from '../domain/served-value.ts'
import type { Clock } from '../runtime/clock.ts'
import { beginAtZero } from '../runtime/instruments.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { singleFlight } from '../runtime/single-flight.ts'
import { profileIdOfUser } from '../store/profiles.ts'
import { readStoredMemberships } from '../store/served-memberships.ts'
import type { Servers } from '../store/servers.ts'
import { endsOf } from './membership-ends.ts'
import { createServedSegments, type ServedSegment, type ServedSegments } from './served-segments.ts'

export type ServedMemberships = {
  /** After all merges. */
  profileId: number
  /** The live segments they are in, by slug; `endMs` = when that ends if nothing happens, NEVER = not by time alone. */
  held: { segment: ServedSegment; endMs: number }[]
  segments: ServedSegments
}

export type MembershipReader = {
  /** Undefined when nobody has this user id. */
  ofUser(userId: string): Promise<ServedMemberships | undefined>
  /** Undefined when there is no such profile. */
  ofProfile(profileId: number): Promise<ServedMemberships | undefined>
}

/** About 10 MB; the oldest go first. */
const MAX_USERS = 100_000
const LONGEST_CHAIN = 1000
/** Far less than a job takes to be given to another worker. */
const WARM_WITHIN_MS = 5000

type Deps = {
  servers: Servers
  cache: Cache
  clock: Clock
  metrics: Metrics
  config: { secret: string }
}
/** What was found, and the segments by which it is answered. */
type Found = { value: ServedFound; segments: ServedSegments }
/** What one read had to ask. */
type Course = { result: 'hit' | 'miss' | 'away' }

export function createMembershipReader(deps: Deps): MembershipReader {
  const { servers, cache, clock, metrics } = deps
  const asker = createAsker(cache)
  const segmentsOf = createServedSegments(servers.home)
  const users = new Map<string, number>()
  beginAtZero(metrics.membershipReads, { result: ['hit', 'miss', 'away'] })

  const lookUpUser = singleFlight(async (userId: string) => {
    const profileId = await profileIdOfUser(servers.home, userId)
    if (profileId !== undefined) asker.tell((cache) => writeKnownUser(cache, userId, profileId))
    return profileId
  })

  const lookUp = singleFlight(async (profileId: number): Promise<Found | undefined> => {
    const startedMs = performance.now()
    // The segments first, so that the generation is not newer than what is worked out by it.
    const segments = await segmentsOf(undefined)
    const stored = await readStoredMemberships(servers.of(profileId), profileId)
    if (stored === undefined) return undefined
    const { mergedInto, segmentIds, seen } = stored
    const value: ServedFound =
      mergedInto === null
        ? {
            kind: 'members',
            ends: await endsNow(segments, profileId, segmentIds),
            generation: segments.generation,
          }
        : { kind: 'merged', into: mergedInto }
    // A process that stood still meanwhile could come after a pass that wrote nothing, since nothing changed any more.
    if (performance.now() - startedMs < WARM_WITHIN_MS)
      asker.tell((cache) => warmServed(cache, seen, profileId, value))
    return { value, segments }
  })

  const endsNow = (segments: ServedSegments, profileId: number, segmentIds: number[]): Promise<Ends> =>
    endsOf(deps, segments, { profileId, segmentIds, asOfMs: clock.now() })

  function missed<T>(course: Course, { isAway }: CacheAnswer<T>): void {
    if (course.result !== 'away') course.result = isAway ? 'away' : 'miss'
  }

  /** Undefined when there is no such profile. One look into Redis, and one into Postgres where that is not enough. */
  async function find(profileId: number, course: Course): Promise<Found | undefined> {
    const both = (cache: Cache) => Promise.all([readSegmentToken(cache), readServed(cache, profileId)])
    const said = await asker.ask(both)
    const [token, value] = said.value ?? []
    if (value !== undefined) {
      const segments = await segmentsOf(token)
      if (isBelieved(value, segments)) return { value, segments }
    }
    missed(course, said)
    return lookUp(profileId)
  }

  async function read(first: number, course: Course): Promise<ServedMemberships | undefined> {
    let profileId = first
    let found = await find(first, course)
    for (let step = 0; found?.value.kind === 'merged' && step < LONGEST_CHAIN; step++) {
      profileId = found.value.into
      found = await find(profileId, course)
    }
    if (found?.value.kind !== 'members') return undefined
    const { value, segments } = found
    return { profileId, held: heldOf(value.ends, segments, clock.now()), segments }
  }

  async function profileOf(userId: string, course: Course): Promise<number | undefined> {
    const known = users.get(userId)
    if (known !== undefined) return known
    const said = await asker.ask((cache) => readKnownUser(cache, userId))
    if (said.value !== undefined) return said.value
    missed(course, said)
    return lookUpUser(userId)
  }

  async function readUser(userId: string, course: Course): Promise<ServedMemberships | undefined> {
    const profileId = await profileOf(userId, course)
    const answer = profileId === undefined ? undefined : await read(profileId, course)
    if (answer !== undefined) {
      remember(users, userId, answer.profileId)
      return answer
    }
    // What was remembered is of nobody any more: the id may have come to somebody else since.
    users.delete(userId)
    if (profileId === undefined) return undefined
    asker.tell((cache) => forgetKnownUser(cache, userId))
    const anew = await lookUpUser(userId)
    return anew === undefined ? undefined : read(anew, course)
  }

  async function measured<T>(work: (course: Course) => Promise<T>): Promise<T> {
    const startedMs = performance.now()
    const course: Course = { result: 'hit' }
    try {
      return await work(course)
    } finally {
      metrics.membershipReads.inc(course)
      metrics.membershipReadSeconds.observe((performance.now() - startedMs) / 1000)
    }
  }

  return {
    ofUser: (userId) => measured((course) => readUser(userId, course)),
    ofProfile: (profileId) => measured((course) => read(profileId, course)),
  }
}

/**
 * Not, when it was worked out before Redis missed something, by another rule of one of its segments, or before a swap that may bring
 * the person into another one. That somebody was merged away is so for ever.
 */
function isBelieved(value: ServedFound, { byId, since }: ServedSegments): boolean {
  if (value.kind === 'merged') return true
  const { ends, generation } = value
  if (generation < since) return false
  for (const segmentId of ends.keys()) if (generation < (byId.get(segmentId)?.since ?? 0)) return false
  return true
}

/** What is archived is not answered, and what has ended by now neither, whether a pass has looked or not. */
function heldOf(ends: Ends, { byId }: ServedSegments, nowMs: number): ServedMemberships['held'] {
  const held: ServedMemberships['held'] = []
  for (const [segmentId, endMs] of ends) {
    const segment = byId.get(segmentId)
    if (segment !== undefined && endMs > nowMs) held.push({ segment, endMs })
  }
  return held.sort((a, b) => (a.segment.slug < b.segment.slug ? -1 : 1))
}

function remember(users: Map<string, number>, userId: string, profileId: number): void {
  if (users.get(userId) === profileId) return
  users.set(userId, profileId)
  if (users.size <= MAX_USERS) return
  for (const oldest of users.keys()) {
    users.delete(oldest)
    return
  }
}

/** As the API writes it; null = time alone does not end it. */
export function endText(endMs: number): string | null {
  return endMs === NEVER ? null : new Date(endMs).toISOString()
}
