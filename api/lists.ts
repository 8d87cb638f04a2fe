// Lists of user ids that rules ask about (`k: "list"`): uploaded whole as CSV, by whoever has them from elsewhere. A list that
// changed is looked at again for everybody, if a live segment asks about it.
import { Readable } from 'node:stream'
import type { FastifyRequest } from 'fastify'
import pLimit from 'p-limit'
import Type, { type Static } from 'typebox'
import { LIST_LIMITS } from '../domain/list-file.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { recordAudit } from '../store/audit.ts'
import { deleteList, type ListRow, listLists, readList, replaceList } from '../store/lists.ts'
import { actorOf } from './admission.ts'
import { beginRuns } from './begin-runs.ts'
import type { ApiDeps } from './deps.ts'
import { readUpload } from './list-upload.ts'
import { typed } from './typed.ts'

const tags = ['lists']
/** Each holds a connection while it comes in; others are told to come back. */
const UPLOADS_AT_ONCE = 2

const ListParams = Type.Object({
  slug: Type.String({
    pattern: '^[a-z0-9][a-z0-9_-]{0,62}$',
    description: 'Its name in rules',
    examples: ['trade-fair'],
  }),
})
const List = Type.Object({
  slug: Type.String({ examples: ['trade-fair'] }),
  count: Type.Integer({ description: 'User ids in it, each once', examples: [120] }),
  version: Type.Integer({ description: 'Rises when an upload changed who is in it', examples: [1] }),
  createdAt: Type.String({ format: 'date-time' }),
  updatedAt: Type.String({ format: 'date-time', description: 'When it last changed' }),
})
export type List = Static<typeof List>
const Uploaded = Type.Object({
  ...List.properties,
  rows: Type.Integer({ description: 'Rows with a user id, repeats counted', examples: [120] }),
  skipped: Type.Integer({ description: 'Rows without one', examples: [0] }),
  runId: Type.Union([Type.Integer(), Type.Null()], {
    description:
      'The run that evaluates everybody for the segments that ask about the list; null = nothing changed, or none asks',
  }),
})
export type UploadedList = Static<typeof Uploaded>
const Csv = Type.String({ examples: ['user_id,name\nuser-42,Anna\nuser-7,Bert\n'] })

/** To be registered as a plugin of its own: nothing else of the API takes CSV. */
export async function listRoutes(app: HttpServer, deps: ApiDeps): Promise<void> {
  app.addContentTypeParser('text/csv', (_request, body, done) => done(null, body))
  uploadRoute(app, deps)
  readRoutes(app, deps)
  deleteRoute(app, deps)
}

function uploadRoute(app: HttpServer, deps: ApiDeps): void {
  const uploads = pLimit(UPLOADS_AT_ONCE)
  typed(app).put(
    '/api/v1/lists/:slug',
    {
      schema: {
        tags,
        summary: 'Upload a list of user ids',
        description:
          'Makes the list, or replaces all of it at once. Comma-separated UTF-8; the ids are in the column headed `user_id` ' +
          `or \`userId\`, without such a header in the first. At most ${LIST_LIMITS.rows} rows and ${LIST_LIMITS.bytes} bytes, ` +
          'within 30 seconds. After a mistake, which is answered with its line, the list is as it was. Whoever enters a ' +
          'segment by it has the reason `rule_changed`, which triggers no campaign.',
        consumes: ['text/csv'],
        params: ListParams,
        body: { content: { 'text/csv': { schema: Csv } } },
        response: { 200: Uploaded },
      },
    },
    async (request) => {
      const { slug } = request.params
      try {
        refuseTooLong(request)
        const upload = readUpload(request.body, request.headers)
        if (uploads.activeCount >= UPLOADS_AT_ONCE)
          throw fail('overloaded', 'other lists are being uploaded', { retryAfterS: 5 })
        const { list, isChanged, runId } = await uploads(() => replaceList(deps.sql, slug, upload.chunks))
        if (isChanged) await audit(deps, request, 'list.upload', list)
        if (runId !== undefined) await beginRuns(deps)
        return { ...shown(list), ...upload.counts(), runId: runId ?? null }
      } catch (error) {
        // Who is still sending reads the answer only when nobody closes the connection on them: the rest is let run by.
        if (request.body instanceof Readable) request.body.resume()
        throw error
      }
    },
  )
}

function refuseTooLong(request: FastifyRequest): void {
  if (Number(request.headers['content-length'] ?? 0) > LIST_LIMITS.bytes)
    throw fail('payload_too_large', `a list has at most ${LIST_LIMITS.bytes} bytes`)
}

function readRoutes(app: HttpServer, { sql }: ApiDeps): void {
  const routes = typed(app)

  routes.get(
    '/api/v1/lists',
    {
      schema: {
        tags,
        summary: 'List the lists',
        description: 'All of them, by slug.',
        response: { 200: Type.Object({ data: Type.Array(List) }) },
      },
    },
    async () => ({ data: (await listLists(sql)).map(shown) }),
  )

  routes.get(
    '/api/v1/lists/:slug',
    {
      schema: {
        tags,
        summary: 'Read a list: how many are in it',
        params: ListParams,
        response: { 200: List },
      },
    },
    async ({ params }) => {
      const list = await readList(sql, params.slug)
      if (list === undefined) throw noSuchList()
      return shown(list)
    },
  )
}

function deleteRoute(app: HttpServer, deps: ApiDeps): void {
  typed(app).delete(
    '/api/v1/lists/:slug',
    {
      schema: {
        tags,
        summary: 'Delete a list',
        description: 'Its ids are gone. Refused with `conflict` while a live segment asks about it.',
        params: ListParams,
        response: { 200: Type.Object({ slug: Type.String(), deleted: Type.Boolean() }) },
      },
    },
    async (request) => {
      const { slug } = request.params
      const list = await readList(deps.sql, slug)
      if (list === undefined || !(await deleteList(deps.sql, slug))) throw noSuchList()
      await audit(deps, request, 'list.delete', list)
      return { slug, deleted: true }
    },
  )
}

async function audit(
  { sql }: ApiDeps,
  request: FastifyRequest,
  action: string,
  list: ListRow,
): Promise<void> {
  const details = { slug: list.slug, version: list.version, members: list.members }
  await recordAudit(sql, { actor: actorOf(request), action, target: String(list.listId), details })
}

function noSuchList() {
  return fail('not_found', 'there is no list of this slug', { field: 'slug' })
}

function shown({ slug, members, version, createdAt, updatedAt }: ListRow) {
  return {
    slug,
    count: members,
    version,
    createdAt: createdAt.toISOString(),
    updatedAt: updatedAt.toISOString(),
  }
}
