// When memberships end if nothing happens, worked out from a person's own rows: what a pass knows, and Postgres does not
// keep. For readers that Redis cannot answer.
import { decide, endOf, factsFor } from '../domain/segments/decide.ts'
import { NEVER } from '../domain/segments/timed.ts'
import { type Ends, OVER_MS } from '../domain/served-value.ts'
import { openPlans, readPeople } from '../store/facts.ts'
import type { Servers } from '../store/servers.ts'
import type { ServedSegments } from './served-segments.ts'

/**
 * Of the segments that Postgres has the profile in, by the rules that are live. What has ended by `asOfMs` while no pass has looked
 * yet is over. What is archived is kept without an end: it is not answered, and not believed if it comes back. Of a segment with
 * another rule by a swap it does not matter what Postgres has: the people that a swap moves are moved at once.
 */
export async function endsOf(
  deps: { servers: Servers; config: { secret: string } },
  segments: ServedSegments,
  { profileId, segmentIds, asOfMs }: { profileId: number; segmentIds: number[]; asOfMs: number },
): Promise<Ends> {
  const stored = new Set(segmentIds)
  const held = segments.all.filter(({ segmentId, isSwapping }) => isSwapping || stored.has(segmentId))
  const ends: Ends = new Map(segmentIds.map((segmentId) => [segmentId, NEVER]))
  if (held.length === 0) return ends
  const plans = held.map(({ plan }) => plan)
  const asked = await openPlans(deps, plans, segments.all)
  const [person] = await readPeople(deps.servers.of(profileId), asked, [profileId], asOfMs)
  if (person === undefined) return ends
  for (const { segmentId, plan } of held) {
    const facts = factsFor(plan, person, asked.plans)
    const { holds, until } = decide(plan, facts, asOfMs)
    if (holds) ends.set(segmentId, endOf(plan, facts, until))
    else if (stored.has(segmentId)) ends.set(segmentId, OVER_MS)
  }
  return ends
}
