// What a rule would find, before it is made a segment: evaluated over the people of now, stored nowhere. Works through
// slices of profiles in short statements, one preview at a time in a process, and stops at a limit.
import pLimit from 'p-limit'
import Type from 'typebox'
import { BUCKET_RANGES, BUCKETS } from '../domain/buckets.ts'
import { needsTraits } from '../domain/segments/asked.ts'
import { decide, factsFor } from '../domain/segments/decide.ts'
import { indexEvents } from '../domain/segments/facts.ts'
import type { Plan } from '../domain/segments/plan.ts'
import { closureOf } from '../domain/segments/references.ts'
import { checkRule } from '../domain/segments/version.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { type EventIds, readEventIds, readHistories } from '../store/histories.ts'
import { profilesOfBuckets, readProfileStates } from '../store/memberships.ts'
import { mustReferWell } from '../store/segment-references.ts'
import { liveSegments } from '../store/segments.ts'
import type { Servers } from '../store/servers.ts'
import type { Sql } from '../store/sql.ts'
import type { ApiDeps } from './deps.ts'
import { RuleDocument } from './segments.ts'
import { typed } from './typed.ts'

const LIMITS = { profiles: 500_000, ms: 20_000, waiting: 4 } as const
const SLICE = 2_000
const RANGE_WIDTH = BUCKETS / BUCKET_RANGES

const Body = Type.Object(
  { rule: RuleDocument },
  {
    additionalProperties: false,
    examples: [{ rule: { match: { k: 'trait', path: 'plan', op: 'eq', value: 'gold' } } }],
  },
)
const Preview = Type.Object({
  members: Type.Integer({ description: 'Profiles that fit', examples: [12] }),
  of: Type.Integer({ description: 'Profiles that were looked at', examples: [120] }),
  complete: Type.Boolean({
    description: `False = stopped after ${LIMITS.profiles} profiles or ${LIMITS.ms / 1000} s; those looked at are a fair sample`,
  }),
  tookMs: Type.Integer({ examples: [8] }),
})

export function segmentPreviewRoutes(app: HttpServer, { servers, clock }: ApiDeps): void {
  const oneAtATime = pLimit(1)

  typed(app).post(
    '/api/v1/segments/preview',
    {
      schema: {
        tags: ['segments'],
        summary: 'Try a rule',
        description: 'Counts who would be in, by the events of now; nothing is stored and nobody enters.',
        body: Body,
        response: { 200: Preview },
      },
    },
    async (request) => {
      const { rule, plan } = checkRule(request.body.rule)
      await mustReferWell(servers.home, '', rule)
      if (oneAtATime.pendingCount >= LIMITS.waiting)
        throw fail('overloaded', 'other previews are waiting already', { retryAfterS: 5 })
      return oneAtATime(async () => {
        const startedMs = clock.now()
        const tried = await tryPlan(servers.home, plan)
        const found = await preview(servers, tried, startedMs, () => clock.now() - startedMs > LIMITS.ms)
        return { ...found, tookMs: clock.now() - startedMs }
      })
    },
  )
}

/** A plan with those of the segments that it refers to, and the numbers of the events that they ask for. */
type Tried = { plan: Plan; plans: ReadonlyMap<string, Plan>; all: Plan[]; eventIds: EventIds }

async function tryPlan(sql: Sql, plan: Plan): Promise<Tried> {
  const live = await liveSegments(sql)
  const plans = new Map(live.map((segment) => [segment.slug, segment.plan]))
  const all = closureOf(plan, plans)
  const eventIds = await readEventIds(
    sql,
    all.flatMap((one) => one.inputs),
  )
  return { plan, plans, all, eventIds }
}

async function preview(servers: Servers, tried: Tried, asOfMs: number, isLate: () => boolean) {
  let members = 0
  let of = 0
  for (let from = 0; from < BUCKETS; from += RANGE_WIDTH) {
    const range = { from, to: from + RANGE_WIDTH - 1 }
    let afterProfileId: number | undefined
    for (;;) {
      const profileIds = await profilesOfBuckets(servers, { ...range, afterProfileId, limit: SLICE })
      if (profileIds.length === 0) break
      if (of >= LIMITS.profiles || isLate()) return { members, of, complete: false }
      members += await countFitting(servers.of(from), tried, profileIds, range, asOfMs)
      of += profileIds.length
      afterProfileId = profileIds.at(-1)
    }
  }
  return { members, of, complete: true }
}

async function countFitting(
  sql: Sql,
  { plan, plans, all, eventIds }: Tried,
  profileIds: number[],
  range: { from: number; to: number },
  asOfMs: number,
): Promise<number> {
  const states = await readProfileStates(sql, profileIds, all.some(needsTraits))
  const scope = { people: states, bucketFrom: range.from, bucketTo: range.to, asOfMs }
  const inputs = all.flatMap((one) => one.inputs)
  const histories = await readHistories(sql, inputs, scope, eventIds)
  return states.filter((state) => {
    const events = indexEvents(histories.get(state.profileId) ?? [])
    return decide(plan, factsFor(plan, { ...state, events }, plans), asOfMs).holds
  }).length
}
