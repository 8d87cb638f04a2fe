// Why somebody is in a segment or not, from their own rows of now: each condition with what was found, and when it will
// change if nothing happens. Under a user id and under a profile number.
import Type, { type Static } from 'typebox'
import { BUCKET_RANGES, BUCKETS, rangeOfProfile } from '../domain/buckets.ts'
import { needsTraits } from '../domain/segments/asked.ts'
import { factsFor } from '../domain/segments/decide.ts'
import { type Explained, explain } from '../domain/segments/explain.ts'
import { type Facts, indexEvents } from '../domain/segments/facts.ts'
import type { Plan } from '../domain/segments/plan.ts'
import { closureOf } from '../domain/segments/references.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { readEventIds, readHistories } from '../store/histories.ts'
import { readMembershipsOf, readProfileStates } from '../store/memberships.ts'
import { liveSegments } from '../store/segments.ts'
import type { Servers } from '../store/servers.ts'
import type { ApiDeps } from './deps.ts'
import { instantAt } from './instants.ts'
import { PROFILE_DOORS } from './profile-doors.ts'
import { SegmentParams, segmentOf } from './segments.ts'
import { typed } from './typed.ts'

const Instant = Type.Union([Type.String({ format: 'date-time' }), Type.Null()])

const Condition = Type.Object({
  path: Type.String({ description: 'Where it stands in the rule', examples: ['rule.match.of[0]'] }),
  k: Type.String({ examples: ['agg'] }),
  holds: Type.Boolean(),
  changesAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'When it turns if nothing happens until then; null = never',
  }),
  value: Type.Unknown({
    description:
      'The trait, the aggregate as decimal text (revenue in minor units), the property or time of the event, the number of events',
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
  member: Type.Boolean({ description: 'As it is stored' }),
  holds: Type.Boolean({
    description: 'As the rule says of now; the two differ for the moments a pass takes',
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

const RANGE_WIDTH = BUCKETS / BUCKET_RANGES

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
        const { slug } = await segmentOf(deps.sql, idOrSlug)
        const asOfMs = request.query.at === undefined ? deps.clock.now() : instantAt(request.query.at, 'at')
        return explanationOf(deps, await door.resolve(deps.servers, request.params), { slug, asOfMs })
      },
    )
  }
}

async function explanationOf(
  { servers }: ApiDeps,
  profileId: number,
  { slug, asOfMs }: { slug: string; asOfMs: number },
): Promise<Static<typeof Explanation>> {
  const live = await liveSegments(servers.home)
  const segment = live.find((one) => one.slug === slug)
  if (segment === undefined)
    throw fail('not_found', 'the segment is archived: nobody is in it', { field: 'segment' })
  const plans = new Map(live.map((one) => [one.slug, one.plan]))
  const facts = await readFacts(servers, profileId, { plan: segment.plan, plans, asOfMs })
  const members = await readMembershipsOf(servers.of(profileId), [profileId])
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
    conditions: all.flatMap(({ found, path, k, holds, until }) =>
      found === undefined
        ? []
        : [
            {
              ...{ path, k, holds, changesAt: instantOf(until) },
              ...found,
              newest: found.newest.map((ms) => new Date(ms).toISOString()),
            },
          ],
    ),
  }
}

async function readFacts(
  servers: Servers,
  profileId: number,
  { plan, plans, asOfMs }: { plan: Plan; plans: ReadonlyMap<string, Plan>; asOfMs: number },
): Promise<Facts> {
  const sql = servers.of(profileId)
  const all = closureOf(plan, plans)
  const inputs = all.flatMap((one) => one.inputs)
  const [state] = await readProfileStates(sql, [profileId], all.some(needsTraits))
  if (state === undefined) throw fail('not_found', 'there is no such profile')
  const bucketFrom = rangeOfProfile(profileId) * RANGE_WIDTH
  const scope = { people: [state], bucketFrom, bucketTo: bucketFrom + RANGE_WIDTH - 1, asOfMs }
  const histories = await readHistories(sql, inputs, scope, await readEventIds(servers.home, inputs))
  return factsFor(plan, { ...state, events: indexEvents(histories.get(profileId) ?? []) }, plans)
}

function flat(explained: Explained): Explained[] {
  return [explained, ...(explained.of ?? []).flatMap(flat)]
}

/** Instants beyond what JavaScript can write are as good as never. */
function instantOf(ms: number): string | null {
  return Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : null
}
