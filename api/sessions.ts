// Sessions of everybody, in key order. A session is a run of one profile's events with gaps of at most 30 minutes.
import Type, { type Static } from 'typebox'
import type { HttpServer } from '../runtime/http.ts'
import { listSessions, type SessionRow } from '../store/sessions-read.ts'
import type { ApiDeps } from './deps.ts'
import { decodeCursor, KeyNumber, KeyTime, PageQuery, pageOf, toPage } from './paging.ts'
import { typed } from './typed.ts'

const Nullable = Type.Union([Type.String(), Type.Null()])

export const Session = Type.Object({
  profileId: Type.Integer({ examples: [1234567] }),
  userId: Nullable,
  startedAt: Type.String({ format: 'date-time', examples: ['2026-06-01T09:00:00.000Z'] }),
  endedAt: Type.String({ format: 'date-time', examples: ['2026-06-01T09:30:00.000Z'] }),
  events: Type.Integer({ examples: [12] }),
  device: Nullable,
  locale: Nullable,
  campaign: Nullable,
  landingPage: Nullable,
  country: Nullable,
  closedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'When it was closed for good; null = it may still grow',
  }),
})

const Query = Type.Object(
  {
    ...PageQuery,
    state: Type.Optional(
      Type.Union([Type.Literal('open'), Type.Literal('closed')], {
        description: 'Only these',
        examples: ['open'],
      }),
    ),
  },
  { additionalProperties: false },
)
const Key = Type.Object({ profileId: KeyNumber, startedMs: KeyTime })

export function sessionRoutes(app: HttpServer, { servers }: ApiDeps): void {
  typed(app).get(
    '/api/v1/sessions',
    {
      schema: {
        tags: ['sessions'],
        summary: 'List sessions',
        description: 'In a fixed order, so that paging through all of them sees each once.',
        querystring: Query,
        response: { 200: pageOf(Session) },
      },
    },
    async ({ query }) => {
      const rows = await listSessions(servers, {
        open: query.state === undefined ? undefined : query.state === 'open',
        after: decodeCursor(Key, query.cursor),
        limit: query.limit + 1,
      })
      const page = toPage(rows, query.limit, (row) => ({
        profileId: row.profileId,
        startedMs: row.startedAt.getTime(),
      }))
      return { ...page, data: page.data.map(toSession) }
    },
  )
}

export function toSession(row: SessionRow): Static<typeof Session> {
  return {
    ...row,
    startedAt: row.startedAt.toISOString(),
    endedAt: row.endedAt.toISOString(),
    closedAt: row.closedAt?.toISOString() ?? null,
  }
}
