// Who was in a segment at an instant as it is known now: by its live rule and the data of today, evaluated page by page. As it was
// known then is read from what was recorded: store/members.ts.
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { BUCKETS } from '../domain/buckets.ts'
import { decide, lastChange } from '../domain/segments/decide.ts'
import type { Facts } from '../domain/segments/facts.ts'
import { PEOPLE_A_STEP } from '../domain/segments/random-parts.ts'
import { type AskedPlan, openPlan, readFacts } from '../store/facts.ts'
import type { Member } from '../store/members.ts'
import { profilesOfBuckets } from '../store/memberships.ts'
import { userIdsOf } from '../store/profiles.ts'
import { liveSegments, type SegmentRow } from '../store/segments.ts'
import type { ApiDeps } from './deps.ts'
import { decodeCursor, encodeCursor, KeyNumber, type Page } from './paging.ts'
import { Meaning, meaningOf, mustMeanTheSame, openBudget, type Walks, walkSteps } from './people-walk.ts'
import { livePlanOf } from './segment-comparison.ts'

const Key = Type.Object({ meaning: Meaning, afterProfileId: KeyNumber })

export type ByRule = { segment: SegmentRow; atMs: number; limit: number; cursor: string | undefined }

/** A page in key order (bucket, profile); before the last it may be short, or empty. Throws `not_found` without a live rule. */
export async function pageByRule(
  deps: ApiDeps,
  walks: Walks,
  request: FastifyRequest,
  { segment, atMs, limit, cursor }: ByRule,
): Promise<Page<Member>> {
  const { servers, clock } = deps
  const begun = decodeCursor(Key, cursor)
  return walks.admit(async (turn) => {
    const live = await liveSegments(servers.home)
    const asked = await openPlan(deps, livePlanOf(live, segment), live)
    const meaning = meaningOf([asked.plan], asked.plans, segment.segmentId, atMs)
    mustMeanTheSame(begun, meaning)
    const budget = openBudget(clock, request, { goesOn: begun !== undefined })
    const members: number[] = []
    let afterProfileId = begun?.afterProfileId
    let step = limit + 1
    const isLast = await walkSteps(turn, budget, async () => {
      const among = { from: 0, to: BUCKETS - 1, afterProfileId, limit: step }
      const profileIds = await profilesOfBuckets(servers, among)
      const facts = await factsOf(asked, profileIds, atMs)
      members.push(
        ...profileIds.filter((profileId) => {
          const own = facts.get(profileId)
          return own !== undefined && decide(asked.plan, own, atMs).holds
        }),
      )
      afterProfileId = profileIds.at(-1) ?? afterProfileId
      step = Math.min(PEOPLE_A_STEP, step * 2)
      return profileIds.length < among.limit || members.length > limit
    })
    const shown = members.slice(0, limit)
    const after = members.length > limit ? shown.at(-1) : isLast ? undefined : afterProfileId
    return {
      data: await about(asked, shown, atMs),
      nextCursor: after === undefined ? null : encodeCursor({ meaning, afterProfileId: after }),
    }
  })
}

/** `sinceMs` = the earliest instant that they are asked about. */
async function factsOf(asked: AskedPlan, profileIds: number[], sinceMs: number): Promise<Map<number, Facts>> {
  const found = new Map<number, Facts>()
  for (const [sql, own] of Map.groupBy(profileIds, asked.servers.of))
    for (const facts of await readFacts(sql, asked, own, sinceMs)) found.set(facts.profileId, facts)
  return found
}

/** When the rule became true takes all of somebody's history, which is read for those alone who are shown. */
async function about(asked: AskedPlan, profileIds: number[], atMs: number): Promise<Member[]> {
  const users = await userIdsOf(asked.servers, profileIds)
  const facts = await factsOf(asked, profileIds, 0)
  return profileIds.map((profileId) => {
    const own = facts.get(profileId)
    const firstMs = Math.min(own?.firstMs ?? atMs, atMs)
    const enteredMs = own === undefined ? undefined : lastChange(asked.plan, own, firstMs, atMs)
    const enteredAt = new Date(enteredMs ?? firstMs)
    return { profileId, userId: users.get(profileId) ?? null, enteredAt, metrics: null }
  })
}
