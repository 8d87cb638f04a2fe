// What a rule would find, before it is made a segment: evaluated over the people of now, stored nowhere. Works through
// random parts of them in short statements, one preview at a time in a process, and stops when its time is over.
import pLimit from 'p-limit'
import Type, { type Static } from 'typebox'
import { BUCKETS } from '../domain/buckets.ts'
import { decide } from '../domain/segments/decide.ts'
import { estimateSize } from '../domain/segments/estimate.ts'
import { compileRule } from '../domain/segments/plan.ts'
import { checkRule } from '../domain/segments/version.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { type AskedPlan, openPlan, readFacts } from '../store/facts.ts'
import { profilesOf } from '../store/memberships.ts'
import { readMetricsFor } from '../store/metrics.ts'
import { mustReferWell } from '../store/segment-references.ts'
import { liveSegments } from '../store/segments.ts'
import type { Servers } from '../store/servers.ts'
import type { Sql } from '../store/sql.ts'
import type { ApiDeps } from './deps.ts'
import { RuleDocument } from './segment-shapes.ts'
import { typed } from './typed.ts'

const LIMITS = { ms: 20_000, usualMs: 800, waiting: 4 } as const
/** People that are looked at in one statement, and about so many between two looks at the clock. */
const SLICE = 2_000
/** The buckets in an order in which the first ones are far from each other. */
const BUCKET_ORDER = Array.from({ length: BUCKETS }, (_, i) => (i * 397) % BUCKETS)

const Body = Type.Object(
  {
    rule: RuleDocument,
    budgetMs: Type.Optional(
      Type.Integer({
        minimum: 50,
        maximum: LIMITS.ms,
        description: `Time to count in, ${LIMITS.usualMs} unless said; with more of it an estimate becomes exact`,
      }),
    ),
  },
  {
    additionalProperties: false,
    examples: [{ rule: { match: { k: 'trait', path: 'plan', op: 'eq', value: 'gold' } } }],
  },
)
const Preview = Type.Object({
  members: Type.Integer({ description: 'Profiles that fit, of those that were looked at', examples: [12] }),
  of: Type.Integer({ description: 'Profiles that were looked at', examples: [120] }),
  complete: Type.Boolean({ description: 'All were looked at: the size is exact', examples: [true] }),
  estimate: Type.Object(
    {
      members: Type.Integer({ examples: [12] }),
      low: Type.Integer({ examples: [12] }),
      high: Type.Integer({ examples: [12] }),
    },
    { description: 'The size of the segment; between low and high with 95 % certainty' },
  ),
  tookMs: Type.Integer({ examples: [8] }),
})
export type Preview = Static<typeof Preview>

export function segmentPreviewRoutes(app: HttpServer, deps: ApiDeps): void {
  const { servers, clock } = deps
  const oneAtATime = pLimit(1)

  typed(app).post(
    '/api/v1/segments/preview',
    {
      schema: {
        tags: ['segments'],
        summary: 'Try a rule',
        description:
          'Counts who would be in, by the events of now; nothing is stored and nobody enters. Looks at a random part of ' +
          'everybody, as large as the time allows.',
        body: Body,
        response: { 200: Preview },
      },
    },
    async (request) => {
      const { rule } = checkRule(request.body.rule)
      await mustReferWell(servers.home, '', rule)
      const plan = compileRule(rule, await readMetricsFor(servers.home, [rule]))
      if (oneAtATime.pendingCount >= LIMITS.waiting)
        throw fail('overloaded', 'other previews are waiting already', { retryAfterS: 5 })
      return oneAtATime(async () => {
        const startedMs = clock.now()
        const isLate = () => clock.now() - startedMs > (request.body.budgetMs ?? LIMITS.usualMs)
        const asked = await openPlan(deps, plan, await liveSegments(servers.home))
        const { members, of, share } = await preview(servers, asked, startedMs, isLate)
        return {
          ...{ members, of, complete: share === 1, estimate: estimateSize({ found: members, share }) },
          tookMs: clock.now() - startedMs,
        }
      })
    },
  )
}

/** At least one bucket is looked at; where few people are in one, several at a time. */
async function preview(servers: Servers, asked: AskedPlan, asOfMs: number, isLate: () => boolean) {
  let members = 0
  let of = 0
  let done = 0
  let atOnce = 1
  while (done < BUCKETS && (done === 0 || !isLate())) {
    const wanted = BUCKET_ORDER.slice(done, done + atOnce)
    for (const [sql, profileIds] of await profilesIn(servers, wanted)) {
      for (let from = 0; from < profileIds.length; from += SLICE) {
        const people = await readFacts(sql, asked, profileIds.slice(from, from + SLICE), asOfMs)
        members += people.filter((facts) => decide(asked.plan, facts, asOfMs).holds).length
      }
      of += profileIds.length
    }
    done += wanted.length
    atOnce = Math.max(1, Math.min(atOnce * 4, Math.floor((SLICE * done) / Math.max(1, of))))
  }
  return { members, of, share: done / BUCKETS }
}

/** Everybody in these buckets, by the server that has their rows. */
function profilesIn(servers: Servers, buckets: number[]): Promise<[Sql, number[]][]> {
  const byServer = Map.groupBy(buckets, (bucket) => servers.of(bucket))
  return Promise.all(
    [...byServer].map(async ([sql, own]): Promise<[Sql, number[]]> => [sql, await profilesOf(sql, own)]),
  )
}
