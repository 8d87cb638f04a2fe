// A plan with all that it takes to decide it for people, read once, and these people's facts: for the preview of a rule, the
// explanation of a segment, the values of metrics and their cut points.
import { bucketOfProfile } from '../domain/buckets.ts'
import { askedLists, askedSince, needsTraits } from '../domain/segments/asked.ts'
import { factsFor } from '../domain/segments/decide.ts'
import { type Facts, indexEvents } from '../domain/segments/facts.ts'
import type { Input } from '../domain/segments/inputs.ts'
import type { Plan } from '../domain/segments/plan.ts'
import { closureOf } from '../domain/segments/references.ts'
import { type EventIds, readEventIds, readHistories } from './histories.ts'
import { readListsOf } from './list-members.ts'
import { readProfileStates } from './memberships.ts'
import type { LiveSegment } from './segments.ts'
import type { Sql } from './sql.ts'

/** `plans` = those of all live segments; `inputs`, `lists`, `withTraits`, `sinceOf` = what it and those that it refers to look at. */
export type AskedPlan = {
  home: Sql
  plan: Plan
  plans: ReadonlyMap<string, Plan>
  inputs: Input[]
  lists: string[]
  withTraits: boolean
  sinceOf: string[]
  eventIds: EventIds
}

export async function openPlan(home: Sql, plan: Plan, live: LiveSegment[]): Promise<AskedPlan> {
  const plans = new Map(live.map((segment) => [segment.slug, segment.plan]))
  const all = closureOf(plan, plans)
  const inputs = all.flatMap((one) => one.inputs)
  return {
    home,
    plan,
    plans,
    inputs,
    lists: askedLists(all),
    withTraits: all.some(needsTraits),
    sinceOf: askedSince(all),
    eventIds: await readEventIds(home, inputs),
  }
}

/** Of those profiles that exist; `sql` = the server that has their rows. */
export async function readFacts(
  sql: Sql,
  { home, plan, plans, inputs, lists, withTraits, sinceOf, eventIds }: AskedPlan,
  profileIds: number[],
  asOfMs: number,
): Promise<Facts[]> {
  const people = await readProfileStates(sql, profileIds, withTraits, sinceOf)
  const buckets = profileIds.map(bucketOfProfile)
  const scope = { people, bucketFrom: Math.min(...buckets), bucketTo: Math.max(...buckets), asOfMs }
  const histories = await readHistories(sql, inputs, scope, eventIds)
  const inLists = await readListsOf(home, lists, profileIds)
  return people.map((person) => {
    const events = indexEvents(histories.get(person.profileId) ?? [])
    return factsFor(plan, { ...person, events, lists: inLists.get(person.profileId) ?? new Set() }, plans)
  })
}
