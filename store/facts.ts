// Plans with all that it takes to decide them for people, read once, and these people's facts: for the preview of a rule, the
// difference of two, the explanation of a segment, the ends of memberships, the values of metrics and their cut points.
import { hashedAddresses } from '../domain/addresses.ts'
import { bucketOfProfile } from '../domain/buckets.ts'
import { type Needs, needsOf } from '../domain/segments/asked.ts'
import { factsFor } from '../domain/segments/decide.ts'
import { type EventIndex, type Facts, indexEvents, type Person } from '../domain/segments/facts.ts'
import type { Plan } from '../domain/segments/plan.ts'
import { closureOf } from '../domain/segments/references.ts'
import { type EventIds, readEventIds, readHistories } from './histories.ts'
import { readListsOf } from './list-members.ts'
import { readProfileStates } from './memberships.ts'
import { readSuppressed } from './reach.ts'
import type { LiveSegment } from './segments.ts'
import { readSentMessages } from './sent-messages.ts'
import type { Servers } from './servers.ts'
import type { Sql } from './sql.ts'

/** `plans` = those of all live segments; the rest = what the plans asked and those that they refer to look at. */
export type Asked = Needs & {
  servers: Servers
  /** Suppressed addresses are known by hashes with this key. */
  secret: string
  plans: ReadonlyMap<string, Plan>
  eventIds: EventIds
}
export type AskedPlan = Asked & { plan: Plan }

type Deps = { servers: Servers; config: { secret: string } }

export async function openPlan(deps: Deps, plan: Plan, live: LiveSegment[]): Promise<AskedPlan> {
  return { ...(await openPlans(deps, [plan], live)), plan }
}

/** For plans that are decided of the same people. */
export async function openPlans(
  { servers, config }: Deps,
  asked: readonly Plan[],
  live: readonly LiveSegment[],
): Promise<Asked> {
  const plans = new Map(live.map((segment) => [segment.slug, segment.plan]))
  const all = [...new Set(asked.flatMap((plan) => closureOf(plan, plans)))]
  const needs = needsOf(all)
  const eventIds = await readEventIds(servers.home, needs.inputs)
  return { ...needs, servers, secret: config.secret, plans, eventIds }
}

/** Of those profiles that exist; `sql` = the server that has their rows. */
export async function readFacts(
  sql: Sql,
  asked: AskedPlan,
  profileIds: number[],
  asOfMs: number,
): Promise<Facts[]> {
  const people = await readPeople(sql, asked, profileIds, asOfMs)
  return people.map((person) => factsFor(asked.plan, person, asked.plans))
}

/** What `factsFor` needs of each of those profiles that exist. `asOfMs` = the earliest instant that is asked about. */
export async function readPeople(
  sql: Sql,
  asked: Asked,
  profileIds: number[],
  asOfMs: number,
): Promise<(Person & { events: EventIndex })[]> {
  const { servers, secret } = asked
  const { home } = servers
  const [people, inLists, sent] = await Promise.all([
    readProfileStates(sql, profileIds, asked.withTraits, asked.sinceOf),
    readListsOf(home, asked.lists, profileIds),
    readSentMessages(asked.sent, { home, of: servers.of, profileIds, asOfMs }),
  ])
  const buckets = profileIds.map(bucketOfProfile)
  const scope = { people, bucketFrom: Math.min(...buckets), bucketTo: Math.max(...buckets), asOfMs }
  const [histories, suppressed] = await Promise.all([
    readHistories(sql, asked.inputs, scope, asked.eventIds),
    readSuppressed(home, hashedAddresses(asked.channels, people, secret)),
  ])
  return people.map((person) => {
    const { profileId } = person
    const events = indexEvents([...(histories.get(profileId) ?? []), ...(sent.get(profileId) ?? [])])
    const lists = inLists.get(profileId) ?? new Set<string>()
    return { ...person, events, lists, suppressed: suppressed.get(profileId) }
  })
}
