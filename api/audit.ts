// The audit log over HTTP, newest first. Only reading: entries are written where things are changed.
import Type from 'typebox'
import type { HttpServer } from '../runtime/http.ts'
import { listAudit } from '../store/audit.ts'
import type { ApiDeps } from './deps.ts'
import { decodeCursor, KeyNumber, PageQuery, pageOf, toPage } from './paging.ts'
import { typed } from './typed.ts'

const Entry = Type.Object({
  auditId: Type.Integer({ examples: [1] }),
  at: Type.String({ format: 'date-time' }),
  actor: Type.String({ examples: ['key:1'] }),
  action: Type.String({ examples: ['key.create'] }),
  target: Type.String({ examples: ['2'] }),
  details: Type.Record(Type.String(), Type.Unknown()),
})
const Key = Type.Object({ beforeId: KeyNumber })

export function auditRoutes(app: HttpServer, { sql }: ApiDeps): void {
  typed(app).get(
    '/api/v1/audit',
    {
      schema: {
        tags: ['audit'],
        summary: 'Read the audit log',
        querystring: Type.Object(PageQuery, { additionalProperties: false }),
        response: { 200: pageOf(Entry) },
      },
    },
    async ({ query }) => {
      const rows = await listAudit(sql, {
        beforeId: decodeCursor(Key, query.cursor)?.beforeId,
        limit: query.limit + 1,
      })
      const page = toPage(rows, query.limit, (row) => ({ beforeId: row.auditId }))
      return { ...page, data: page.data.map((row) => ({ ...row, at: row.at.toISOString() })) }
    },
  )
}
