// Runs of a segment through everybody: what goes on, what was, one right now, and a schedule for them.
import Type from 'typebox'
import { checkSchedule } from '../domain/segments/schedule.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { recordAudit } from '../store/audit.ts'
import { listRuns, runSegment } from '../store/segment-run-reads.ts'
import { setSchedule } from '../store/segments.ts'
import { actorOf } from './admission.ts'
import { beginRuns } from './begin-runs.ts'
import type { ApiDeps } from './deps.ts'
import { decodeCursor, KeyNumber, PageQuery, pageOf, toPage } from './paging.ts'
import { Run, Schedule, SegmentParams, segmentOf, shownRun } from './segment-shapes.ts'
import { typed } from './typed.ts'

const tags = ['segments']
const Key = Type.Object({ before: KeyNumber })

export function segmentRunRoutes(app: HttpServer, deps: ApiDeps): void {
  runRoutes(app, deps)
  scheduleRoutes(app, deps)
}

function runRoutes(app: HttpServer, deps: ApiDeps): void {
  const routes = typed(app)
  const { sql, clock } = deps

  routes.get(
    '/api/v1/segments/:segment/runs',
    {
      schema: {
        tags,
        summary: 'Runs of a segment',
        description:
          'Each change of a rule has everybody evaluated again, and so does a schedule: newest first, with how far each is.',
        params: SegmentParams,
        querystring: Type.Object(PageQuery, { additionalProperties: false }),
        response: { 200: pageOf(Run) },
      },
    },
    async ({ params, query }) => {
      const { segmentId } = await segmentOf(sql, params.segment)
      const rows = await listRuns(sql, segmentId, {
        before: decodeCursor(Key, query.cursor)?.before,
        limit: query.limit + 1,
      })
      const page = toPage(rows, query.limit, (row) => ({ before: row.runId }))
      return { ...page, data: page.data.map((row) => shownRun(row, clock.now())) }
    },
  )

  routes.post(
    '/api/v1/segments/:segment/runs',
    {
      schema: {
        tags,
        summary: 'Evaluate a segment for everybody now',
        description:
          'Members are right without it: events and time move them. It looks again at everybody all the same; what it ' +
          'finds has the reason `backfill`.',
        params: SegmentParams,
        response: { 202: Run },
      },
    },
    async (request, reply) => {
      const { segmentId, slug } = await segmentOf(sql, request.params.segment)
      const runId = await runSegment(sql, segmentId)
      if (runId === undefined) throw fail('conflict', 'it is not live, or there is nobody to evaluate')
      await recordAudit(sql, {
        ...{ actor: actorOf(request), action: 'segment.run', target: String(segmentId), details: { slug } },
      })
      await beginRuns(deps)
      const run = (await listRuns(sql, segmentId, { before: undefined, limit: 1 }))[0]
      if (run === undefined) throw new Error('a run that was planned is not there')
      return reply.code(202).send(shownRun(run, clock.now()))
    },
  )
}

function scheduleRoutes(app: HttpServer, { sql, clock }: ApiDeps): void {
  const routes = typed(app)
  const params = SegmentParams
  const Changed = Type.Object({ slug: Type.String(), schedule: Type.Union([Schedule, Type.Null()]) })

  routes.put(
    '/api/v1/segments/:segment/schedule',
    {
      schema: {
        tags,
        summary: 'Give a segment a schedule',
        description:
          'At its instants everybody is evaluated again, within a minute; of instants that were missed one is made up for.',
        params,
        body: Schedule,
        response: { 200: Changed },
      },
    },
    async (request) => {
      checkSchedule(request.body, clock.now())
      const { segmentId, slug } = await segmentOf(sql, request.params.segment)
      if (!(await setSchedule(sql, segmentId, request.body)))
        throw fail('conflict', 'the segment is archived')
      const details = { slug, ...request.body }
      await recordAudit(sql, {
        ...{ actor: actorOf(request), action: 'segment.schedule', target: String(segmentId), details },
      })
      return { slug, schedule: request.body }
    },
  )

  routes.delete(
    '/api/v1/segments/:segment/schedule',
    {
      schema: { tags, summary: 'Take the schedule from a segment', params, response: { 200: Changed } },
    },
    async (request) => {
      const { segmentId, slug } = await segmentOf(sql, request.params.segment)
      await setSchedule(sql, segmentId, null)
      await recordAudit(sql, {
        ...{
          actor: actorOf(request),
          action: 'segment.schedule',
          target: String(segmentId),
          details: { slug },
        },
      })
      return { slug, schedule: null }
    },
  )
}
