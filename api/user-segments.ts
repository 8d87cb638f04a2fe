// Which segments somebody is in now, and whether they are in one: answered from Redis, to the millisecond of a membership's
// end. Under a user id and under a profile number.
import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { type MembershipDetails, readMembershipDetails } from '../store/served-memberships.ts'
import type { ApiDeps } from './deps.ts'
import { createMembershipReader, endText, type ServedMemberships } from './membership-reader.ts'
import { PROFILE_DOORS, ProfileParams, UserParams } from './profile-doors.ts'
import { SegmentParams } from './segment-shapes.ts'
import { typed } from './typed.ts'

const Instant = Type.String({ format: 'date-time' })

const EndsAt = Type.Union([Instant, Type.Null()], {
  description: 'When the membership ends if nothing happens until then; null = time alone does not end it',
})
const Details = {
  enteredAt: Type.Optional(Type.Union([Instant, Type.Null()], { description: 'Only with `details`' })),
  version: Type.Optional(
    Type.Union([Type.Integer(), Type.Null()], {
      description: 'Of the rule they entered by; only with `details`',
    }),
  ),
  reason: Type.Optional(
    Type.Union([Type.String(), Type.Null()], {
      description:
        'Why they entered: event, time, late, merged, rule_changed or backfill; only with `details`',
    }),
  ),
}
const Named = {
  segmentId: Type.Integer(),
  slug: Type.String({ examples: ['big-spenders'] }),
  name: Type.String({ examples: ['Big spenders'] }),
}
const Membership = Type.Object({ ...Named, endsAt: EndsAt, ...Details })
export type Membership = Static<typeof Membership>
const Asked = Type.Object({ ...Named, member: Type.Boolean(), endsAt: EndsAt, ...Details })

const Query = Type.Object(
  {
    details: Type.Optional(
      Type.Boolean({
        description: 'Since when, by which version and why: asks Postgres as well, which takes longer',
        examples: [true],
      }),
    ),
  },
  { additionalProperties: false },
)

export function userSegmentRoutes(app: HttpServer, deps: ApiDeps): void {
  const reader = createMembershipReader(deps)
  const readers = {
    users: (params: unknown) => reader.ofUser(Value.Parse(UserParams, params).userId),
    profiles: (params: unknown) => reader.ofProfile(Value.Parse(ProfileParams, params).profileId),
  }
  for (const door of PROFILE_DOORS) {
    const served = async (params: unknown) => {
      const found = await readers[door.tag](params)
      if (found === undefined) throw door.missing()
      return found
    }
    doorRoutes(app, deps, door, served)
  }
}

function doorRoutes(
  app: HttpServer,
  { servers }: ApiDeps,
  door: (typeof PROFILE_DOORS)[number],
  served: (params: unknown) => Promise<ServedMemberships>,
): void {
  const routes = typed(app)
  const detailsOf = async (wanted: boolean | undefined, { profileId }: ServedMemberships) =>
    wanted === true ? await readMembershipDetails(servers.of(profileId), profileId) : undefined

  routes.get(
    `${door.path}/segments`,
    {
      schema: {
        tags: [door.tag],
        summary: `Segments of a ${door.noun}`,
        description: `All live segments the ${door.noun} is in now, by slug.`,
        params: door.params,
        querystring: Query,
        response: { 200: Type.Object({ data: Type.Array(Membership) }) },
      },
    },
    async ({ params, query }) => {
      const found = await served(params)
      const details = await detailsOf(query.details, found)
      const data = found.held.map(({ segment: { segmentId, slug, name }, endMs }) => ({
        ...{ segmentId, slug, name, endsAt: endText(endMs) },
        ...shownDetails(details, segmentId),
      }))
      return { data }
    },
  )

  routes.get(
    `${door.path}/segments/:segment`,
    {
      schema: {
        tags: [door.tag],
        summary: `Whether a ${door.noun} is in a segment`,
        description: 'Now. Nobody is in a segment that is archived: it is not found.',
        params: Type.Object({ ...door.params.properties, ...SegmentParams.properties }),
        querystring: Query,
        response: { 200: Asked },
      },
    },
    async (request) => {
      const found = await served(request.params)
      const { segmentId, slug, name } = segmentOf(found, request.params as Static<typeof SegmentParams>)
      const held = found.held.find(({ segment }) => segment.segmentId === segmentId)
      const named = { segmentId, slug, name }
      if (held === undefined) return { ...named, member: false, endsAt: null }
      const details = await detailsOf(request.query.details, found)
      return { ...named, member: true, endsAt: endText(held.endMs), ...shownDetails(details, segmentId) }
    },
  )
}

function segmentOf({ segments }: ServedMemberships, { segment: idOrSlug }: Static<typeof SegmentParams>) {
  const segment = segments.all.find(
    ({ slug, segmentId }) => slug === idOrSlug || String(segmentId) === idOrSlug,
  )
  if (segment === undefined)
    throw fail('not_found', 'there is no live segment of this slug or number', { field: 'segment' })
  return segment
}

/** A membership that Redis knows before this look finds its row, or after, has none. */
function shownDetails(details: MembershipDetails[] | undefined, segmentId: number) {
  if (details === undefined) return {}
  const row = details.find((one) => one.segmentId === segmentId)
  return {
    enteredAt: row?.enteredAt.toISOString() ?? null,
    version: row?.version ?? null,
    reason: row?.reason ?? null,
  }
}
