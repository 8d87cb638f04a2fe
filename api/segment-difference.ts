// The difference of two dates, or of two versions, of a segment: how many entered, left and stayed, and who. Neither is bounded by
// the time a request may take, so both go on from a cursor: counts as far as they have come, people page by page.
import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { estimateSize } from '../domain/segments/estimate.ts'
import { PEOPLE_A_STEP, shareOf } from '../domain/segments/random-parts.ts'
import type { HttpServer } from '../runtime/http.ts'
import { userIdsOf } from '../store/profiles.ts'
import type { Standing } from '../store/segment-standings.ts'
import type { ApiDeps } from './deps.ts'
import { decodeCursor, encodeCursor, KeyNumber, KeyTime, PageQuery, pageOf } from './paging.ts'
import {
  BudgetMs,
  beginWalk,
  Counted,
  Meaning,
  mustMeanTheSame,
  openBudget,
  ProgressKey,
  type Turn,
  type Walks,
  walkPeople,
  walkSteps,
} from './people-walk.ts'
import { type Comparison, openComparison } from './segment-comparison.ts'
import { MovedPerson } from './segment-drafts.ts'
import { Interval } from './segment-preview.ts'
import { SegmentParams, segmentOf } from './segment-shapes.ts'
import { typed } from './typed.ts'

const EndsQuery = {
  from: Type.String({
    maxLength: 64,
    description: 'An instant, or the number of a version',
    examples: ['2026-11-01T00:00:00Z'],
  }),
  to: Type.Optional(
    Type.String({
      maxLength: 64,
      description: 'Likewise; absent = now, or the live version',
      examples: ['2026-12-01T00:00:00Z'],
    }),
  ),
  known: Type.Optional(
    Type.Enum(['then', 'now'], {
      description:
        'Of instants: `then` (unless said) = as it was known at each, by the recorded entries and exits, also of archived ' +
        'segments; `now` = by the live rule and the data of today, with late events and traits as they are today. Of versions: ' +
        '`now`, both rules by the data of today, as of the first request',
      examples: ['then'],
    }),
  ),
}
const { cursor } = PageQuery
const CountQuery = Type.Object(
  { ...EndsQuery, budgetMs: Type.Optional(BudgetMs), cursor },
  { additionalProperties: false },
)
const PeopleQuery = Type.Object(
  {
    ...EndsQuery,
    ...PageQuery,
    op: Type.Optional(Type.Enum(['enter', 'exit'], { description: 'Only these', examples: ['enter'] })),
  },
  { additionalProperties: false },
)

const SoFar = (description: string) => Type.Integer({ description, examples: [12] })
const Difference = Type.Object({
  segment: Type.String({ examples: ['gold-plan'] }),
  from: Type.String({ description: 'The instant, in UTC, or the version' }),
  to: Type.String(),
  known: Type.Enum(['then', 'now']),
  entered: SoFar('In at `to` and not at `from`, of those that were looked at'),
  left: SoFar('In at `from` and not at `to`'),
  stayed: SoFar('In at both'),
  of: Type.Integer({ description: 'Profiles that were looked at, in all requests', examples: [120] }),
  share: Type.Number({ description: 'Of everybody, 0 to 1; of recorded changes about', examples: [1] }),
  complete: Type.Boolean({ description: 'All were looked at: the numbers are exact' }),
  estimate: Type.Union([Type.Object({ entered: Interval, left: Interval, stayed: Interval }), Type.Null()], {
    description:
      'Of everybody. null where recorded changes are read (`known` is `then`) until complete: they come in the order of ' +
      'profile numbers, of which a part says nothing of the rest',
  }),
  nextCursor: Type.Union([Type.String(), Type.Null()], {
    description: 'Goes on counting from here, on any process; null when complete',
  }),
  tookMs: Type.Integer({ description: 'Of this request' }),
})
export type Difference = Static<typeof Difference>

const Totals = { entered: Counted, left: Counted, stayed: Counted }
const CountKey = Type.Object({
  ...{ meaning: Meaning, startedMs: KeyTime, ...Totals },
  /** Of random parts, or of recorded changes. */
  progress: Type.Union([ProgressKey, Type.Null()]),
  afterProfileId: KeyNumber,
  of: Counted,
})
const PeopleKey = Type.Object({ meaning: Meaning, startedMs: KeyTime, afterProfileId: KeyNumber })

export function segmentDifferenceRoutes(app: HttpServer, deps: ApiDeps, walks: Walks): void {
  const { sql, servers, clock } = deps
  const routes = typed(app)
  const about = { tags: ['segments'], params: SegmentParams }

  routes.get(
    '/api/v1/segments/:segment/difference',
    {
      schema: {
        ...about,
        summary: 'Difference of two dates or versions: how many',
        description:
          'Between two instants, as known at each or by the data of today, or between two versions by the data of today. Counts ' +
          'as far as `budgetMs` allows; `cursor` goes on from there, on any process, until `complete`. What a draft would ' +
          'change is answered at once by `GET …/draft`.',
        querystring: CountQuery,
        response: { 200: Difference },
      },
    },
    async (request) => {
      const { segmentId, slug } = await segmentOf(sql, request.params.segment)
      const begun = decodeCursor(CountKey, request.query.cursor)
      return walks.admit(async (turn) => {
        const askedMs = clock.now()
        const startedMs = begun?.startedMs ?? askedMs
        const segment = await segmentOf(sql, String(segmentId))
        const compared = await openComparison(deps, segment, request.query, startedMs)
        mustMeanTheSame(begun, compared.meaning)
        const count = await countOn({ ...deps, request, turn }, compared, begun)
        const { progress, afterProfileId, ...shown } = count
        const { from, to, known, meaning } = compared
        const { entered, left, stayed, of } = count
        const key = { meaning, startedMs, entered, left, stayed, of, progress, afterProfileId }
        return {
          ...{ segment: slug, from, to, known, ...shown },
          nextCursor: count.complete ? null : encodeCursor(key),
          tookMs: clock.now() - askedMs,
        }
      })
    },
  )

  routes.get(
    '/api/v1/segments/:segment/difference/people',
    {
      schema: {
        ...about,
        summary: 'Difference of two dates or versions: who',
        description:
          'Each once. A page ends after what people could be looked at in its time: before the last it may be short, or empty.',
        querystring: PeopleQuery,
        response: { 200: pageOf(MovedPerson) },
      },
    },
    async (request) => {
      const { segmentId } = await segmentOf(sql, request.params.segment)
      const { limit, op, cursor } = request.query
      const begun = decodeCursor(PeopleKey, cursor)
      return walks.admit(async (turn) => {
        const startedMs = begun?.startedMs ?? clock.now()
        const segment = await segmentOf(sql, String(segmentId))
        const compared = await openComparison(deps, segment, request.query, startedMs)
        const { meaning } = compared
        mustMeanTheSame(begun, meaning)
        const budget = openBudget(clock, request, { goesOn: begun !== undefined })
        let afterProfileId = begun?.afterProfileId
        const moved: Moved[] = []
        // Where many have moved few fill a page; where hardly anybody has, steps become large.
        let step = limit + 1
        const isLast = await walkSteps(turn, budget, async () => {
          const asked = step
          step = Math.min(PEOPLE_A_STEP, step * 2)
          const some = await compared.next(afterProfileId, asked)
          moved.push(...some.flatMap(movedOf).filter((one) => op === undefined || one.op === op))
          afterProfileId = some.at(-1)?.profileId ?? afterProfileId
          return some.length < asked || moved.length > limit
        })
        const shown = moved.slice(0, limit)
        const isCut = moved.length > limit
        const after = isCut ? shown.at(-1)?.profileId : isLast ? undefined : afterProfileId
        const users = await userIdsOf(
          servers,
          shown.map((one) => one.profileId),
        )
        return {
          data: shown.map((one) => ({ ...one, userId: users.get(one.profileId) ?? null })),
          nextCursor:
            after === undefined ? null : encodeCursor({ meaning, startedMs, afterProfileId: after }),
        }
      })
    },
  )
}

type Moved = { profileId: number; op: 'enter' | 'exit' }

function movedOf({ profileId, was, is }: Standing): Moved[] {
  return was === is ? [] : [{ profileId, op: is ? 'enter' : 'exit' }]
}

type Counting = ApiDeps & { request: FastifyRequest<{ Querystring: { budgetMs?: number } }>; turn: Turn }

/** Goes on counting from where a request before came to, or begins. */
async function countOn(
  { servers, clock, request, turn }: Counting,
  { look, next, shareAt }: Comparison,
  begun: Static<typeof CountKey> | undefined,
) {
  const { budgetMs } = request.query
  const budget = openBudget(clock, request, { budgetMs, goesOn: begun !== undefined })
  let { entered, left, stayed } = begun ?? { entered: 0, left: 0, stayed: 0 }
  const add = (some: Standing[]) => {
    for (const { was, is } of some) {
      if (was && is) stayed += 1
      else if (is) entered += 1
      else if (was) left += 1
    }
  }
  const estimated = (share: number) => ({
    entered: estimateSize({ found: entered, share }),
    left: estimateSize({ found: left, share }),
    stayed: estimateSize({ found: stayed, share }),
  })
  if (look !== undefined) {
    const progress = await walkPeople(servers, begun?.progress ?? (await beginWalk(servers)), {
      ...{ turn, budget },
      look: async (sql, profileIds) => add(await look(sql, profileIds)),
    })
    const share = shareOf(progress)
    const sofar = { entered, left, stayed, of: progress.people, share, complete: share === 1 }
    return { ...sofar, estimate: estimated(share), progress, afterProfileId: -1 }
  }
  let afterProfileId = begun?.afterProfileId ?? -1
  let of = begun?.of ?? 0
  const complete = await walkSteps(turn, budget, async () => {
    const some = await next(afterProfileId, PEOPLE_A_STEP)
    add(some)
    of += some.length
    afterProfileId = some.at(-1)?.profileId ?? afterProfileId
    return some.length < PEOPLE_A_STEP
  })
  const share = complete ? 1 : await shareAt(afterProfileId)
  const estimate = complete ? estimated(1) : null
  return { entered, left, stayed, of, share, complete, estimate, progress: null, afterProfileId }
}
