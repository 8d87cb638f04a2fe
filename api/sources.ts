// Sources: what sends events. Made once, never deleted here: events point at them.
import Type from 'typebox'
import { errorCodeOf, fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { recordAudit } from '../store/audit.ts'
import { createSource, listSources } from '../store/sources.ts'
import { actorOf } from './admission.ts'
import type { ApiDeps } from './deps.ts'
import { typed } from './typed.ts'

const Source = Type.Object({
  sourceId: Type.Integer({ examples: [1] }),
  name: Type.String({ examples: ['web-shop'] }),
  acceptEventsSince: Type.Union([Type.String({ format: 'date-time' }), Type.Null()], {
    description: 'Events older than this are refused; null = the retention of the deployment',
  }),
  createdAt: Type.String({ format: 'date-time' }),
  activeKeys: Type.Integer({ examples: [1] }),
})

const NewSource = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 100, pattern: '^[^\\u0000-\\u001f]+$' }),
    acceptEventsSince: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'How far back its events may lie, e.g. to import history',
      }),
    ),
  },
  { additionalProperties: false, examples: [{ name: 'ios-app', acceptEventsSince: '2020-01-01T00:00:00Z' }] },
)

export function sourceRoutes(app: HttpServer, { sql }: ApiDeps): void {
  const routes = typed(app)

  routes.get(
    '/api/v1/sources',
    {
      schema: {
        tags: ['sources'],
        summary: 'List sources',
        response: { 200: Type.Object({ data: Type.Array(Source) }) },
      },
    },
    async () => {
      const rows = await listSources(sql)
      const data = rows.map((row) => ({
        ...row,
        acceptEventsSince: row.acceptEventsSince?.toISOString() ?? null,
        createdAt: row.createdAt.toISOString(),
      }))
      return { data }
    },
  )

  routes.post(
    '/api/v1/sources',
    {
      schema: {
        tags: ['sources'],
        summary: 'Make a source',
        body: NewSource,
        response: { 201: Type.Object({ sourceId: Type.Integer(), name: Type.String() }) },
      },
    },
    async (request, reply) => {
      const { name, acceptEventsSince } = request.body
      const source =
        acceptEventsSince === undefined ? { name } : { name, acceptEventsSince: new Date(acceptEventsSince) }
      const sourceId = await createSource(sql, source).catch((error: unknown) => {
        if (errorCodeOf(error) === '23505')
          throw fail('conflict', 'there is a source of this name', { field: 'name' })
        throw error
      })
      await recordAudit(sql, { actor: actorOf(request), action: 'source.create', target: String(sourceId) })
      return reply.code(201).send({ sourceId, name })
    },
  )
}
