// What could not be kept: counted, listed, read raw, sent again or given up. Sending again goes to the queue it failed
// on, before the row is marked: at worst it is sent twice, and the exactly-once key drops the second.
import Type, { type Static } from 'typebox'
import { deadJobOf, removeDeadJobs } from '../queues/dead-jobs.ts'
import { replayPayload } from '../queues/replay.ts'
import { fail, MillraceError } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { recordAudit } from '../store/audit.ts'
import {
  countFailedEvents,
  discardFailedEvents,
  listFailedEvents,
  markReplayed,
  type StoredFailedEvent,
} from '../store/failed-events.ts'
import type { Sql } from '../store/sql.ts'
import { actorOf } from './admission.ts'
import type { ApiDeps } from './deps.ts'
import { decodeCursor, KeyNumber, PageQuery, pageOf, toPage } from './paging.ts'
import { typed } from './typed.ts'

const tags = ['failed events']
const Optional = Type.Union([Type.String(), Type.Null()])

const FailedEvent = Type.Object({
  failedId: Type.Integer({ examples: [1] }),
  stage: Type.String({ description: 'Pool or queue it failed in', examples: ['persist'] }),
  code: Type.String({ examples: ['row_rejected'] }),
  reason: Type.String(),
  sqlstate: Optional,
  sourceId: Type.Union([Type.Integer(), Type.Null()]),
  messageId: Optional,
  failedAt: Type.String({ format: 'date-time' }),
  replays: Type.Integer(),
})

const Filter = {
  stage: Type.Optional(Type.String({ maxLength: 100, examples: ['persist'] })),
  code: Type.Optional(Type.String({ maxLength: 100, examples: ['row_rejected'] })),
}
const Query = Type.Object({ ...PageQuery, ...Filter }, { additionalProperties: false })
const Key = Type.Object({ afterId: KeyNumber })
const paramsLike = (failedId: number) =>
  Type.Object({
    failedId: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, examples: [failedId] }),
  })

const ReplayBody = Type.Object(
  { ...Filter, limit: Type.Integer({ minimum: 1, maximum: 1000, default: 100 }) },
  { additionalProperties: false, examples: [{ stage: 'persist', code: 'row_rejected', limit: 100 }] },
)

export function failedEventRoutes(app: HttpServer, deps: ApiDeps): void {
  listRoutes(app, deps)
  oneRoutes(app, deps)
  bulkRoute(app, deps)
}

function listRoutes(app: HttpServer, { sql }: ApiDeps): void {
  const routes = typed(app)

  routes.get(
    '/api/v1/failed-events',
    {
      schema: {
        tags,
        summary: 'List open failures',
        querystring: Query,
        response: { 200: pageOf(FailedEvent) },
      },
    },
    async ({ query }) => {
      const rows = await listFailedEvents(sql, {
        ...(query.stage === undefined ? {} : { stage: query.stage }),
        ...(query.code === undefined ? {} : { code: query.code }),
        afterId: decodeCursor(Key, query.cursor)?.afterId ?? 0,
        limit: query.limit + 1,
      })
      const page = toPage(rows, query.limit, (row) => ({ afterId: row.failedId }))
      return { ...page, data: page.data.map(shown) }
    },
  )

  const Count = Type.Object({ stage: Type.String(), code: Type.String(), count: Type.Integer() })
  routes.get(
    '/api/v1/failed-events/counts',
    {
      schema: {
        tags,
        summary: 'Count open failures by stage and code',
        response: { 200: Type.Object({ data: Type.Array(Count) }) },
      },
    },
    async () => ({ data: [...(await countFailedEvents(sql))] }),
  )

  routes.get(
    '/api/v1/failed-events/:failedId',
    {
      schema: {
        tags,
        summary: 'Read one open failure with its raw payload',
        params: paramsLike(1),
        response: { 200: Type.Object({ ...FailedEvent.properties, payload: Type.String() }) },
      },
    },
    async ({ params }) => {
      const row = await openFailure(sql, params.failedId)
      return { ...shown(row), payload: row.payload }
    },
  )
}

function oneRoutes(app: HttpServer, deps: ApiDeps): void {
  const routes = typed(app)
  const { sql } = deps

  routes.post(
    '/api/v1/failed-events/:failedId/replay',
    {
      schema: {
        tags,
        summary: 'Send one failure again',
        params: paramsLike(2),
        response: { 200: Type.Object({ failedId: Type.Integer(), replayed: Type.Boolean() }) },
      },
    },
    async (request) => {
      const row = await openFailure(sql, request.params.failedId)
      await replay(deps, row)
      const target = String(row.failedId)
      await recordAudit(sql, { actor: actorOf(request), action: 'failed-event.replay', target })
      return { failedId: row.failedId, replayed: true }
    },
  )

  routes.post(
    '/api/v1/failed-events/:failedId/discard',
    {
      schema: {
        tags,
        summary: 'Give one failure up',
        params: paramsLike(3),
        response: { 200: Type.Object({ failedId: Type.Integer(), discarded: Type.Boolean() }) },
      },
    },
    async (request) => {
      const row = await openFailure(sql, request.params.failedId)
      await discardFailedEvents(sql, [row.failedId])
      await removeDeadJob(deps, row)
      const target = String(row.failedId)
      await recordAudit(sql, { actor: actorOf(request), action: 'failed-event.discard', target })
      return { failedId: row.failedId, discarded: true }
    },
  )
}

function bulkRoute(app: HttpServer, deps: ApiDeps): void {
  typed(app).post(
    '/api/v1/failed-events/replay',
    {
      schema: {
        tags,
        summary: 'Send open failures again, oldest first',
        description: 'Those that cannot be sent are left open and counted as refused.',
        body: ReplayBody,
        response: { 200: Type.Object({ replayed: Type.Integer(), refused: Type.Integer() }) },
      },
    },
    async (request) => {
      const { stage, code, limit } = request.body
      const rows = await listFailedEvents(deps.sql, {
        ...(stage === undefined ? {} : { stage }),
        ...(code === undefined ? {} : { code }),
        limit,
      })
      let replayed = 0
      for (const row of rows) {
        if (await replay(deps, row).then(() => true, unlessConflict)) replayed++
      }
      const details = { replayed, refused: rows.length - replayed }
      await recordAudit(deps.sql, { actor: actorOf(request), action: 'failed-event.replay', details })
      return details
    },
  )
}

async function replay(deps: ApiDeps, row: StoredFailedEvent): Promise<void> {
  await replayPayload(deps.sender, {
    stage: row.stage,
    payload: row.payload,
    idSuffix: `r${row.failedId}`,
    shards: deps.config.shards,
  })
  await markReplayed(deps.sql, [row.failedId])
  await removeDeadJob(deps, row)
}

/** What was sent again or given up leaves the failed set too: the sweep would record it anew. */
async function removeDeadJob({ cache, config }: ApiDeps, row: StoredFailedEvent): Promise<void> {
  const dead = deadJobOf(row.failedKey, config.shards)
  if (dead !== undefined) await removeDeadJobs(cache.redis, config.namespace, dead.lane, [dead.jobId])
}

async function openFailure(sql: Sql, failedId: number): Promise<StoredFailedEvent> {
  const [row] = await listFailedEvents(sql, { failedIds: [failedId], limit: 1 })
  if (row === undefined)
    throw fail('not_found', 'there is no open failure of this number', { field: 'failedId' })
  return row
}

/** A payload that no queue takes is one refusal; anything else stops the run. */
function unlessConflict(error: unknown): false {
  if (error instanceof MillraceError && error.code === 'conflict') return false
  throw error
}

function shown(row: StoredFailedEvent): Static<typeof FailedEvent> {
  return {
    failedId: row.failedId,
    stage: row.stage,
    code: row.code,
    reason: row.reason,
    sqlstate: row.sqlstate ?? null,
    sourceId: row.sourceId ?? null,
    messageId: row.messageId ?? null,
    failedAt: row.failedAt.toISOString(),
    replays: row.replays,
  }
}
