// Memberships that were found to differ from their rules, as the drift gauge has kept them.
import Type from 'typebox'
import type { HttpServer } from '../runtime/http.ts'
import { listDrift } from '../store/segment-drift.ts'
import type { ApiDeps } from './deps.ts'
import { decodeCursor, KeyNumber, PageQuery, pageOf, toPage } from './paging.ts'
import { typed } from './typed.ts'

const Row = Type.Object({
  driftId: Type.Integer({ examples: [1] }),
  segmentId: Type.Integer({ examples: [1] }),
  slug: Type.String({ examples: ['gold-plan'] }),
  version: Type.Integer({ description: 'Of the rule', examples: [1] }),
  profileId: Type.Integer({ examples: [1234567] }),
  asOf: Type.String({ format: 'date-time', description: 'The instant that both answers are of' }),
  expected: Type.Boolean({ description: 'Whether the rule is true, from scratch' }),
  stored: Type.Boolean({ description: 'Whether the person was in the segment' }),
  rule: Type.Unsafe<Record<string, unknown>>(Type.Object({}, { additionalProperties: true })),
  foundAt: Type.String({ format: 'date-time' }),
})
const Query = Type.Object(PageQuery, { additionalProperties: false })
const Key = Type.Object({ beforeId: KeyNumber })

export function segmentDriftRoutes(app: HttpServer, { sql }: ApiDeps): void {
  typed(app).get(
    '/api/v1/segment-drift',
    {
      schema: {
        tags: ['segments'],
        summary: 'Memberships that differed from their rules',
        description:
          'Newest first, kept for 30 days. The clock decides a part of everybody from scratch every hour; whoever differs is evaluated again at once. Empty is as it should be.',
        querystring: Query,
        response: { 200: pageOf(Row) },
      },
    },
    async ({ query }) => {
      const beforeId = decodeCursor(Key, query.cursor)?.beforeId ?? Number.MAX_SAFE_INTEGER
      const rows = await listDrift(sql, { beforeId, limit: query.limit + 1 })
      const page = toPage(rows, query.limit, (row) => ({ beforeId: row.driftId }))
      const data = page.data.map((row) => ({
        ...row,
        asOf: row.asOf.toISOString(),
        foundAt: row.foundAt.toISOString(),
      }))
      return { ...page, data }
    },
  )
}
