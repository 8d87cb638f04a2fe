// Why somebody is in a segment or not, from their own rows of now: each condition with what was found, and when it will
// change if nothing happens. Under a user id and under a profile number.
import Type, { type Static } from 'typebox'
import { type Explained, explain } from '../domain/segments/explain.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { openPlan, readFacts } from '../store/facts.ts'
import { readMembershipsOf } from '../store/memberships.ts'
import { liveSegments } from '../store/segments.ts'
import type { ApiDeps } from './deps.ts'
import { instantAt } from './instants.ts'
import { PROFILE_DOORS } from './profile-doors.ts'
import { SegmentParams, segmentOf } from './segment-shapes.ts'
import { typed } from './typed.ts'

const Instant = Type.Union([Type.String({ format: 'date-time' }), Type.Null()])

const Condition = Type.Object({
  path: Type.String({ description: 'Where it stands in the rule', examples: ['rule.match.of[0]'] }),
  k: Type.String({ examples: ['agg'] }),
  holds: Type.Boolean(),
  changesAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'When it turns if nothing happens until then; null = never',
  }),
  words: Type.String({
    description: 'What was found, against what is wanted',
    examples: ['count of "Order Completed" in the last 30 days is 3; wanted at least 5'],
  }),
  value: Type.Unknown({
    description:
      'The trait, the aggregate as decimal text (revenue in minor units), the property or time of the event, the number of ' +
      'events or messages, the state of consent',
  }),
  missing: Type.Union([Type.String(), Type.Null()], {
    description: 'What is missing to the threshold, where more of it would make the condition true',
    examples: ['2'],
  }),
  events: Type.Integer({ description: 'Events that count' }),
  newest: Type.Array(Type.String({ format: 'date-time' }), { description: 'Times of the newest of them' }),
})
const Explanation = Type.Object({
  segment: Type.String({ examples: ['big-spenders'] }),
  version: Type.Integer(),
  asOf: Type.String({ format: 'date-time' }),
  member: Type.Boolean({ description: 'As it is stored now' }),
  holds: Type.Boolean({
    description: 'As the rule says of `asOf`; of now the two differ for the moments a pass takes',
  }),
  changesAt: Instant,
  groups: Type.Array(
    Type.Object({
      path: Type.String({ examples: ['rule.match'] }),
      k: Type.String({ examples: ['all'] }),
      holds: Type.Boolean(),
      changesAt: Instant,
    }),
    { description: '`all`, `any`, `atLeast` and `not`, as they stand in the rule' },
  ),
  conditions: Type.Array(Condition, { description: 'In the order of the rule' }),
})
export type Explanation = Static<typeof Explanation>

const Query = Type.Object(
  {
    at: Type.Optional(
      Type.String({
        description: 'Another instant than now, before it or to come: by the rule and the data of today',
        examples: ['2026-12-24T00:00:00Z'],
      }),
    ),
  },
  { additionalProperties: false },
)

export function segmentExplainRoutes(app: HttpServer, deps: ApiDeps): void {
  for (const door of PROFILE_DOORS) {
    const params = Type.Object({ ...door.params.properties, ...SegmentParams.properties })
    typed(app).get(
      `${door.path}/segments/:segment/explanation`,
      {
        schema: {
          tags: [door.tag],
          summary: `Why the ${door.noun} is in a segment or not`,
          description:
            'Evaluates the live rule for this person now, or at another instant, and says what each condition found.',
          params,
          querystring: Query,
          response: { 200: Explanation },
        },
      },
      async (request) => {
        const { segment: idOrSlug } = request.params as Static<typeof SegmentParams>
        const asOfMs = request.query.at === undefined ? deps.clock.now() : instantAt(request.query.at, 'at')
        const [{ slug }, profileId] = await Promise.all([
          segmentOf(deps.sql, idOrSlug),
          door.resolve(deps.servers, request.params),
        ])
        return explanationOf(deps, profileId, { slug, asOfMs })
      },
    )
  }
}

async function explanationOf(
  deps: ApiDeps,
  profileId: number,
  { slug, asOfMs }: { slug: string; asOfMs: number },
): Promise<Static<typeof Explanation>> {
  const { servers } = deps
  const live = await liveSegments(servers.home)
  const segment = live.find((one) => one.slug === slug)
  if (segment === undefined)
    throw fail('not_found', 'the segment is archived: nobody is in it', { field: 'segment' })
  const sql = servers.of(profileId)
  const factsOf = async () => readFacts(sql, await openPlan(deps, segment.plan, live), [profileId], asOfMs)
  const [[facts], members] = await Promise.all([factsOf(), readMembershipsOf(sql, [profileId])])
  if (facts === undefined) throw fail('not_found', 'there is no such profile')
  const whole = explain(segment.plan, facts, asOfMs)
  const all = flat(whole)
  return {
    segment: slug,
    version: segment.version,
    asOf: new Date(asOfMs).toISOString(),
    member: members.get(profileId)?.has(segment.segmentId) ?? false,
    holds: whole.holds,
    changesAt: instantOf(whole.until),
    groups: all.flatMap(({ found, path, k, holds, until }) =>
      found === undefined ? [{ path, k, holds, changesAt: instantOf(until) }] : [],
    ),
    conditions: all.flatMap(({ found, words = '', path, k, holds, until }) =>
      found === undefined
        ? []
        : [
            {
              ...{ path, k, holds, changesAt: instantOf(until), words },
              ...found,
              newest: found.newest.map((ms) => new Date(ms).toISOString()),
            },
          ],
    ),
  }
}

function flat(explained: Explained): Explained[] {
  return [explained, ...(explained.of ?? []).flatMap(flat)]
}

/** Instants beyond what JavaScript can write are as good as never. */
function instantOf(ms: number): string | null {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : null
}
