// What a rule would find, before it is made a segment: evaluated over the people of now, stored nowhere. Works through
// slices of profiles in short statements, one preview at a time in a process, and stops at a limit.
import pLimit from 'p-limit'
import Type from 'typebox'
import { BUCKET_RANGES, BUCKETS } from '../domain/buckets.ts'
import { needsTraits } from '../domain/segments/asked.ts'
import { decide } from '../domain/segments/decide.ts'
import { indexEvents, pickInputs } from '../domain/segments/facts.ts'
import type { Plan } from '../domain/segments/plan.ts'
import { checkRule } from '../domain/segments/version.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { type EventIds, readEventIds, readHistories } from '../store/histories.ts'
import { profilesOfBuckets, readProfileStates } from '../store/memberships.ts'
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
      const { plan } = checkRule(request.body.rule)
      if (oneAtATime.pendingCount >= LIMITS.waiting)
        throw fail('overloaded', 'other previews are waiting already', { retryAfterS: 5 })
      return oneAtATime(async () => {
        const startedMs = clock.now()
        const found = await preview(servers, plan, startedMs, () => clock.now() - startedMs > LIMITS.ms)
        return { ...found, tookMs: clock.now() - startedMs }
      })
    },
  )
}

async function preview(servers: Servers, plan: Plan, asOfMs: number, isLate: () => boolean) {
  const eventIds = await readEventIds(servers.home, plan.inputs)
  let members = 0
  let of = 0
  for (let from = 0; from < BUCKETS; from += RANGE_WIDTH) {
    const range = { from, to: from + RANGE_WIDTH - 1 }
    let afterProfileId: number | undefined
    for (;;) {
      const profileIds = await profilesOfBuckets(servers, { ...range, afterProfileId, limit: SLICE })
      if (profileIds.length === 0) break
      if (of >= LIMITS.profiles || isLate()) return { members, of, complete: false }
      members += await countFitting(servers.of(from), { plan, eventIds }, profileIds, range, asOfMs)
      of += profileIds.length
      afterProfileId = profileIds.at(-1)
    }
  }
  return { members, of, complete: true }
}

async function countFitting(
  sql: Sql,
  { plan, eventIds }: { plan: Plan; eventIds: EventIds },
  profileIds: number[],
  range: { from: number; to: number },
  asOfMs: number,
): Promise<number> {
  const states = await readProfileStates(sql, profileIds, needsTraits(plan))
  const scope = { people: states, bucketFrom: range.from, bucketTo: range.to, asOfMs }
  const histories = await readHistories(sql, plan.inputs, scope, eventIds)
  return states.filter(({ profileId, traits, firstMs }) => {
    const inputs = pickInputs(plan.inputs, indexEvents(histories.get(profileId) ?? []))
    return decide(plan, { profileId, traits, firstMs, inputs }, asOfMs).holds
  }).length
}
