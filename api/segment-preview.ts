// What a rule would find, before it is made a segment: evaluated over the people of now, stored nowhere. An estimate by a random
// part of everybody, which the next request goes on from until it is exact.
import Type, { type Static } from 'typebox'
import { decide } from '../domain/segments/decide.ts'
import { estimateSize } from '../domain/segments/estimate.ts'
import { compileRule } from '../domain/segments/plan.ts'
import { shareOf } from '../domain/segments/random-parts.ts'
import { checkRule } from '../domain/segments/version.ts'
import type { HttpServer } from '../runtime/http.ts'
import { openPlan, readFacts } from '../store/facts.ts'
import { readMetricsFor } from '../store/metrics.ts'
import { mustReferWell } from '../store/segment-references.ts'
import { liveSegments } from '../store/segments.ts'
import type { ApiDeps } from './deps.ts'
import { decodeCursor, encodeCursor, KeyTime } from './paging.ts'
import {
  BudgetMs,
  beginWalk,
  Counted,
  Meaning,
  meaningOf,
  mustMeanTheSame,
  openBudget,
  ProgressKey,
  type Walks,
  walkPeople,
} from './people-walk.ts'
import { RuleDocument } from './segment-shapes.ts'
import { typed } from './typed.ts'

const Body = Type.Object(
  {
    rule: RuleDocument,
    budgetMs: Type.Optional(BudgetMs),
    cursor: Type.Optional(
      Type.String({
        maxLength: 1000,
        description:
          '`nextCursor` of the answer before, with the same rule: goes on counting; absent = begins',
      }),
    ),
  },
  {
    additionalProperties: false,
    examples: [{ rule: { match: { k: 'trait', path: 'plan', op: 'eq', value: 'gold' } } }],
  },
)
/** Of a number that is told from a part of everybody. */
export const Interval = Type.Object(
  {
    members: Type.Integer({ examples: [12] }),
    low: Type.Integer({ examples: [12] }),
    high: Type.Integer({ examples: [12] }),
  },
  {
    description:
      'How many of everybody; between low and high with 95 % certainty, of each answer for itself. Exact when `complete`',
  },
)
const Preview = Type.Object({
  members: Type.Integer({ description: 'Profiles that fit, of those that were looked at', examples: [12] }),
  of: Type.Integer({ description: 'Profiles that were looked at, in all requests', examples: [120] }),
  share: Type.Number({ description: 'Of everybody, 0 to 1', examples: [1] }),
  complete: Type.Boolean({ description: 'All were looked at: the size is exact', examples: [true] }),
  estimate: Interval,
  asOf: Type.String({
    format: 'date-time',
    description:
      'The instant that the rule is decided at, the same in all requests that go on from each other',
  }),
  nextCursor: Type.Union([Type.String(), Type.Null()], {
    description: 'Goes on from here, on any process; null when complete',
  }),
  tookMs: Type.Integer({ description: 'Of this request', examples: [8] }),
})
export type Preview = Static<typeof Preview>

const Key = Type.Object({ meaning: Meaning, asOfMs: KeyTime, progress: ProgressKey, members: Counted })

const DESCRIPTION = `Counts who would be in, by the events of now; nothing is stored and nobody enters. Looks at a random part of \
everybody, as large as \`budgetMs\` allows, and answers with an estimate and its interval.

\`cursor\` goes on from the answer before: the interval narrows until the size is exact. Nothing is kept for it here, so it may \
come when it likes, to any process, and a request that was cut is sent again. Each person is looked at once, as found then, and \
the rule is decided at \`asOf\`. \`conflict\` = another rule, or what it refers to has changed: begin again.`

export function segmentPreviewRoutes(app: HttpServer, deps: ApiDeps, walks: Walks): void {
  const { servers, clock } = deps

  typed(app).post(
    '/api/v1/segments/preview',
    {
      schema: {
        tags: ['segments'],
        summary: 'Try a rule',
        description: DESCRIPTION,
        body: Body,
        response: { 200: Preview },
      },
    },
    async (request) => {
      const { budgetMs, cursor } = request.body
      const { rule } = checkRule(request.body.rule)
      const begun = decodeCursor(Key, cursor, 'body.cursor')
      await mustReferWell(servers.home, '', rule)
      const plan = compileRule(rule, await readMetricsFor(servers.home, [rule]))
      return walks.admit(async (turn) => {
        const startedMs = clock.now()
        const budget = openBudget(clock, request, { budgetMs, goesOn: begun !== undefined })
        const asked = await openPlan(deps, plan, await liveSegments(servers.home))
        const meaning = meaningOf([plan], asked.plans)
        mustMeanTheSame(begun, meaning)
        const asOfMs = begun?.asOfMs ?? startedMs
        let members = begun?.members ?? 0
        const progress = await walkPeople(servers, begun?.progress ?? (await beginWalk(servers)), {
          turn,
          budget,
          async look(sql, profileIds) {
            const people = await readFacts(sql, asked, profileIds, asOfMs)
            members += people.filter((facts) => decide(plan, facts, asOfMs).holds).length
          },
        })
        const share = shareOf(progress)
        return {
          ...{ members, of: progress.people, share, complete: share === 1 },
          estimate: estimateSize({ found: members, share }),
          asOf: new Date(asOfMs).toISOString(),
          nextCursor: share === 1 ? null : encodeCursor({ meaning, asOfMs, progress, members }),
          tookMs: clock.now() - startedMs,
        }
      })
    },
  )
}
