// Users and anonymous profiles: pages of them and one with its ids and counts. What they did is in api/user-history.ts.
import Type, { type Static } from 'typebox'
import { bucketOfProfile } from '../domain/buckets.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import {
  countOfProfile,
  type IdentityRow,
  listProfiles,
  type ProfileRow,
  profileIdOfUser,
  readIdentitiesOf,
  readProfile,
} from '../store/profiles.ts'
import type { ApiDeps } from './deps.ts'
import { decodeCursor, KeyNumber, PageQuery, pageOf, toPage } from './paging.ts'
import { PROFILE_DOORS } from './profile-doors.ts'
import { typed } from './typed.ts'

/** A person with more ids than this is shown with the first ones only; `counts.identities` says how many there are. */
const IDENTITIES_SHOWN = 100

const ProfileSummary = Type.Object({
  profileId: Type.Integer({ description: 'Number of the profile', examples: [1234567] }),
  userId: Type.Union([Type.String(), Type.Null()], {
    description: 'null = anonymous so far',
    examples: ['user-42'],
  }),
  firstSeen: Type.String({ format: 'date-time', examples: ['2026-05-01T09:30:00.000Z'] }),
  lastSeen: Type.String({ format: 'date-time', examples: ['2026-06-01T09:30:00.000Z'] }),
  createdAt: Type.String({ format: 'date-time', examples: ['2026-05-01T09:30:01.000Z'] }),
  traits: Type.Record(Type.String(), Type.Unknown(), { examples: [{ plan: 'gold', country: 'DE' }] }),
})

const Profile = Type.Object({
  ...ProfileSummary.properties,
  bucket: Type.Integer({ description: 'Which of 1,024 buckets it lives in', examples: [583] }),
  identities: Type.Array(
    Type.Object({
      kind: Type.Union([Type.Literal('user'), Type.Literal('anonymous')]),
      value: Type.String({ examples: ['user-42'] }),
      linkedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
      createdAt: Type.String({ format: 'date-time' }),
    }),
  ),
  counts: Type.Object({
    events: Type.Integer(),
    sessions: Type.Integer(),
    identities: Type.Integer(),
    segments: Type.Integer(),
    deliveries: Type.Integer(),
  }),
})

const ListQuery = Type.Object(
  {
    ...PageQuery,
    kind: Type.Union([Type.Literal('known'), Type.Literal('all')], {
      default: 'known',
      description: '`known` = with a user id; `all` = anonymous profiles too',
      examples: ['known'],
    }),
    userId: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'Exactly this user', examples: ['user-42'] }),
    ),
  },
  { additionalProperties: false },
)

const Key = Type.Object({ bucket: Type.Integer({ minimum: 0, maximum: 1023 }), profileId: KeyNumber })

export function userRoutes(app: HttpServer, deps: ApiDeps): void {
  const { sql, servers } = deps
  typed(app).get(
    '/api/v1/users',
    {
      schema: {
        tags: ['users'],
        summary: 'List users',
        description: 'In a fixed order, so that paging through all of them sees each once.',
        querystring: ListQuery,
        response: { 200: pageOf(ProfileSummary) },
      },
    },
    async ({ query }) => {
      if (query.userId !== undefined) {
        const profileId = await profileIdOfUser(sql, query.userId)
        const profile =
          profileId === undefined ? undefined : await readProfile(servers.of(profileId), profileId)
        return { data: profile === undefined ? [] : [summary(profile)], nextCursor: null }
      }
      const rows = await listProfiles(servers, {
        known: query.kind === 'known',
        after: decodeCursor(Key, query.cursor),
        limit: query.limit + 1,
      })
      const page = toPage(rows, query.limit, (row) => ({
        bucket: bucketOfProfile(row.profileId),
        profileId: row.profileId,
      }))
      return { ...page, data: page.data.map(summary) }
    },
  )

  for (const door of PROFILE_DOORS) {
    typed(app).get(
      door.path,
      {
        schema: {
          tags: [door.tag],
          summary: `Read one ${door.noun}`,
          description: 'Traits, first and last seen, every id it goes by, and how much there is of the rest.',
          params: door.params,
          response: { 200: Profile },
        },
      },
      async (request) => {
        const profileId = await door.resolve(servers, request.params)
        const [profile, identities, counts] = await Promise.all([
          readProfile(servers.of(profileId), profileId),
          readIdentitiesOf(sql, profileId, IDENTITIES_SHOWN),
          countOfProfile(servers, profileId),
        ])
        if (profile === undefined) throw fail('not_found', `there is no such ${door.noun}`)
        return {
          ...summary(profile),
          bucket: bucketOfProfile(profileId),
          identities: identities.map(identity),
          counts,
        }
      },
    )
  }
}

function summary(row: ProfileRow): Static<typeof ProfileSummary> {
  return {
    profileId: row.profileId,
    userId: row.userId,
    firstSeen: row.firstSeen.toISOString(),
    lastSeen: row.lastSeen.toISOString(),
    createdAt: row.createdAt.toISOString(),
    traits: row.traits,
  }
}

function identity(row: IdentityRow) {
  return {
    kind: row.kind,
    value: row.value,
    linkedAt: row.linkedAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
  }
}
