// Who is in a segment, and how many: as Postgres has it.
import { Readable } from 'node:stream'
import Type, { type Static } from 'typebox'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { ChangeMetrics } from '../schema/change-metric.ts'
import { countMembers, listMembers, listMembersKnownAt, type Member } from '../store/members.ts'
import type { Servers } from '../store/servers.ts'
import type { ApiDeps } from './deps.ts'
import { instantAt } from './instants.ts'
import { pageByRule } from './members-by-rule.ts'
import { decodeCursor, KeyNumber, type Page, PageQuery, pageOf, toPage } from './paging.ts'
import type { Walks } from './people-walk.ts'
import { SegmentParams, segmentOf } from './segment-shapes.ts'
import { typed } from './typed.ts'

const tags = ['segments']

const MemberRow = Type.Object({
  profileId: Type.Integer({ examples: [1234567] }),
  userId: Type.Union([Type.String(), Type.Null()], { examples: ['user-42'] }),
  enteredAt: Type.String({ format: 'date-time', description: 'When the rule became true' }),
  metrics: ChangeMetrics,
})
export type MemberRow = Static<typeof MemberRow>
const Size = Type.Object({
  segmentId: Type.Integer({ examples: [1] }),
  slug: Type.String({ examples: ['gold-plan'] }),
  size: Type.Integer({ examples: [120] }),
})
export type Size = Static<typeof Size>
const Query = Type.Object(
  {
    ...PageQuery,
    knownAt: Type.Optional(
      Type.String({
        description: 'Who was in it at this instant, as it was known then; archived segments too',
        examples: ['2026-11-01T00:00:00Z'],
      }),
    ),
    at: Type.Optional(
      Type.String({
        description:
          'Who was in it at this instant, or will be, as it is known now: by the live rule and the data of today, late events at ' +
          'their own time, traits and lists as they are. In another order, and before the last page one may be short, or empty',
      }),
    ),
  },
  { additionalProperties: false },
)
const Key = Type.Object({ afterProfileId: KeyNumber })

export function segmentMemberRoutes(app: HttpServer, deps: ApiDeps, walks: Walks): void {
  const { sql, servers } = deps
  const routes = typed(app)

  routes.get(
    '/api/v1/segments/:segment/members',
    {
      schema: {
        tags,
        summary: 'Members of a segment',
        description: 'By profile number.',
        params: SegmentParams,
        querystring: Query,
        response: { 200: pageOf(MemberRow) },
      },
    },
    async (request) => {
      const { params, query } = request
      const segment = await segmentOf(sql, params.segment)
      if (query.at !== undefined) {
        if (query.knownAt !== undefined)
          throw fail('invalid_request', 'either at or knownAt', { field: 'at' })
        const { limit, cursor } = query
        const atMs = instantAt(query.at, 'at')
        return shown(await pageByRule(deps, walks, request, { segment, atMs, limit, cursor }))
      }
      const { segmentId } = segment
      const afterProfileId = decodeCursor(Key, query.cursor)?.afterProfileId ?? -1
      const page = { afterProfileId, limit: query.limit + 1 }
      const rows = await (query.knownAt === undefined
        ? listMembers(servers, segmentId, { ...page, withMetrics: true })
        : listMembersKnownAt(servers, segmentId, { ...page, knownAtMs: instantAt(query.knownAt, 'knownAt') }))
      return shown(toPage(rows, query.limit, (row) => ({ afterProfileId: row.profileId })))
    },
  )

  routes.get(
    '/api/v1/segments/:segment/members.csv',
    {
      schema: {
        tags,
        summary: 'All members of a segment as CSV',
        description:
          'Streamed by profile number, a line each: `profile_id,user_id,entered_at`. Whoever enters or leaves meanwhile may be in it or not.',
        params: SegmentParams,
        response: {
          200: {
            description: 'CSV',
            content: { 'text/csv': { schema: Type.Unsafe<Readable>(Type.String()) } },
          },
        },
      },
    },
    async ({ params }, reply) => {
      const { segmentId, slug } = await segmentOf(sql, params.segment)
      reply
        .type('text/csv; charset=utf-8')
        .header('content-disposition', `attachment; filename="${slug}.csv"`)
      return reply.send(Readable.from(csvOf(servers, segmentId)))
    },
  )

  routes.get(
    '/api/v1/segments/:segment/size',
    {
      schema: {
        tags,
        summary: 'How many are in a segment',
        params: SegmentParams,
        response: { 200: Size },
      },
    },
    async ({ params }) => {
      const { segmentId, slug } = await segmentOf(sql, params.segment)
      return { segmentId, slug, size: await countMembers(servers, segmentId) }
    },
  )
}

function shown({ data, nextCursor }: Page<Member>) {
  return { data: data.map((row) => ({ ...row, enteredAt: row.enteredAt.toISOString() })), nextCursor }
}

const EXPORT_PAGE = 5_000

/** Page by page, as fast as the reader takes them: no more than a page is held. */
async function* csvOf(servers: Servers, segmentId: number): AsyncGenerator<string> {
  yield 'profile_id,user_id,entered_at\r\n'
  for (let afterProfileId = -1; ; ) {
    const members = await listMembers(servers, segmentId, {
      afterProfileId,
      limit: EXPORT_PAGE,
      withMetrics: false,
    })
    const last = members.at(-1)
    if (last === undefined) return
    afterProfileId = last.profileId
    yield members.map(csvLine).join('')
    if (members.length < EXPORT_PAGE) return
  }
}

/** RFC 4180. */
function csvLine({ profileId, userId, enteredAt }: Member): string {
  const text = userId === null ? '' : `"${userId.replaceAll('"', '""')}"`
  return `${profileId},${text},${enteredAt.toISOString()}\r\n`
}
