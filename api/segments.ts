// Segments: rules that say who is in. A rule that comes, changes or goes is live for new events at once, and everybody
// who was there before is evaluated again by the segment pool. Who is in is in api/segment-members.ts.
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { checkRule } from '../domain/segments/version.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { RuleSchema } from '../schema/rule.ts'
import { recordAudit } from '../store/audit.ts'
import { createDraftSegment } from '../store/segment-drafts.ts'
import { openRuns } from '../store/segment-run-reads.ts'
import {
  addVersion,
  archiveSegment,
  createSegment,
  listSegments,
  type SegmentRow,
} from '../store/segments.ts'
import type { Queryable } from '../store/sql.ts'
import { actorOf } from './admission.ts'
import { beginRuns } from './begin-runs.ts'
import type { ApiDeps } from './deps.ts'
import {
  Author,
  EXAMPLE_RULE,
  GOLD_RULE,
  Note,
  noSuchSegment,
  RuleDocument,
  Segment,
  SegmentParams,
  segmentOf,
  shownSegment,
  showSegment,
} from './segment-shapes.ts'
import { tellChange } from './tell-change.ts'
import { typed } from './typed.ts'

const tags = ['segments']

const NewSegment = Type.Object(
  {
    slug: Type.String({
      pattern: '^(?![0-9]+$)[a-z0-9][a-z0-9_-]{0,62}$',
      description: 'Its name in paths; not only digits',
    }),
    name: Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f]+$' }),
    rule: RuleDocument,
    author: Type.Optional(Author),
    note: Type.Optional(Note),
    draft: Type.Optional(
      Type.Boolean({ description: 'Try it on everybody first: nobody is a member until it is published' }),
    ),
  },
  {
    additionalProperties: false,
    examples: [
      { slug: 'big-orders', name: 'More than $500 in 30 days', rule: EXAMPLE_RULE },
      {
        slug: 'gold-plan',
        name: 'Customers on the gold plan',
        rule: GOLD_RULE,
        note: 'for the spring mailing',
      },
    ],
  },
)

const NewRule = Type.Object(
  { rule: RuleDocument, author: Type.Optional(Author), note: Type.Optional(Note) },
  { additionalProperties: false, examples: [{ rule: GOLD_RULE, note: 'without the trial plan' }] },
)

export function segmentRoutes(app: HttpServer, deps: ApiDeps): void {
  readRoutes(app, deps)
  changeRoutes(app, deps)
}

function readRoutes(app: HttpServer, { sql, clock }: ApiDeps): void {
  const routes = typed(app)

  routes.get(
    '/api/v1/segments',
    {
      schema: {
        tags,
        summary: 'List segments',
        description: 'All that are not archived, by number.',
        response: { 200: Type.Object({ data: Type.Array(Segment) }) },
      },
    },
    async () => {
      const [rows, runs] = await Promise.all([listSegments(sql), openRuns(sql)])
      return { data: rows.map((row) => shownSegment(row, runs.get(row.segmentId), clock.now())) }
    },
  )

  routes.get(
    '/api/v1/segments/:segment',
    {
      schema: {
        tags,
        summary: 'Read a segment with its live rule',
        params: SegmentParams,
        response: { 200: Segment },
      },
    },
    async ({ params }) => showSegment(sql, await segmentOf(sql, params.segment), clock.now()),
  )

  routes.get(
    '/api/v1/rule-schema',
    {
      schema: {
        tags,
        summary: 'The JSON Schema of a rule',
        description:
          'For editors and generators. What it cannot say (a circle of segments, an unknown zone) a rule is still refused for.',
        response: { 200: Type.Record(Type.String(), Type.Unknown()) },
      },
    },
    () => ({ $schema: 'https://json-schema.org/draft/2020-12/schema', title: 'Segment rule', ...RuleSchema }),
  )
}

function changeRoutes(app: HttpServer, deps: ApiDeps): void {
  const routes = typed(app)
  const { sql, clock } = deps
  const begun = async (segment: SegmentRow) => {
    await beginRuns(deps)
    return showSegment(sql, segment, clock.now())
  }

  routes.post(
    '/api/v1/segments',
    {
      schema: {
        tags,
        summary: 'Make a segment',
        description:
          'It is live at once, unless it is a `draft`. People who fit already enter with the reason `backfill`, which ' +
          'triggers no campaign; `run` says how far that is.',
        body: NewSegment,
        response: { 201: Segment },
      },
    },
    async (request, reply) => {
      const { slug, name, rule, author, note, draft } = request.body
      const version = { ...checkRule(rule), author: author ?? actorOf(request), note: note ?? '' }
      const wanted = { slug, name, ...version }
      const segment = await (draft === true
        ? createDraftSegment(sql, wanted)
        : createSegment(sql, wanted, tellChange(deps)))
      if (segment === undefined)
        throw fail('conflict', 'there is or was a segment of this slug', { field: 'slug' })
      await audit(sql, request, 'segment.create', segment)
      return reply.code(201).send(await begun(segment))
    },
  )

  routes.put(
    '/api/v1/segments/:segment/rule',
    {
      schema: {
        tags,
        summary: 'Give a segment another rule',
        description:
          'Makes a new version, which is live at once; versions before are kept. The same rule again changes nothing. ' +
          'An archived segment comes back with it. To see first whom it would move, make it a draft.',
        params: SegmentParams,
        body: NewRule,
        response: { 200: Segment },
      },
    },
    async (request) => {
      const { rule, author, note } = request.body
      const version = { ...checkRule(rule), author: author ?? actorOf(request), note: note ?? '' }
      const before = await segmentOf(sql, request.params.segment)
      if (before.archivedAt === null && before.rule !== null) {
        if (checkRule(before.rule).ruleHash === version.ruleHash) return showSegment(sql, before, clock.now())
      }
      const segment = await addVersion(sql, before.segmentId, version, tellChange(deps))
      if (segment === undefined) throw noSuchSegment()
      await audit(sql, request, 'segment.rule', segment)
      return begun(segment)
    },
  )

  routes.delete(
    '/api/v1/segments/:segment',
    {
      schema: {
        tags,
        summary: 'Archive a segment',
        description:
          'Everybody leaves it, and its draft goes. Its versions and history are kept, and its slug stays taken.',
        params: SegmentParams,
        response: { 200: Segment },
      },
    },
    async (request) => {
      const { segmentId } = await segmentOf(sql, request.params.segment)
      const changed = await archiveSegment(sql, segmentId, tellChange(deps))
      const segment = await segmentOf(sql, String(segmentId))
      if (!changed) return showSegment(sql, segment, clock.now())
      await audit(sql, request, 'segment.archive', segment)
      return begun(segment)
    },
  )
}

async function audit(
  sql: Queryable,
  request: FastifyRequest,
  action: string,
  segment: SegmentRow,
): Promise<void> {
  const details = { slug: segment.slug, version: segment.liveVersion ?? segment.shadow?.version ?? null }
  await recordAudit(sql, { actor: actorOf(request), action, target: String(segment.segmentId), details })
}
