// Segments: rules that say who is in. A rule that comes, changes or goes is live for new events at once, and everybody
// who was there before is evaluated again by the segment pool. Who is in is in api/segment-members.ts.
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { checkRule } from '../domain/segments/version.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { RuleSchema } from '../schema/rule.ts'
import { recordAudit } from '../store/audit.ts'
import type { OpenBackfill } from '../store/backfills.ts'
import {
  addVersion,
  archiveSegment,
  createSegment,
  listSegments,
  readSegment,
  type SegmentRow,
} from '../store/segments.ts'
import type { Queryable } from '../store/sql.ts'
import { actorOf } from './admission.ts'
import { evaluateAgain } from './backfill.ts'
import type { ApiDeps } from './deps.ts'
import { typed } from './typed.ts'

const tags = ['segments']

/** More than $500 in orders in the last 30 days, and at least 3 of them. */
const EXAMPLE_RULE = {
  match: {
    k: 'all',
    of: [
      {
        k: 'agg',
        event: 'Order Completed',
        agg: 'sum',
        prop: 'revenue',
        window: { k: 'rolling', last: 'P30D' },
        op: 'gt',
        value: 500,
      },
      {
        k: 'agg',
        event: 'Order Completed',
        agg: 'count',
        window: { k: 'rolling', last: 'P30D' },
        op: 'gte',
        value: 3,
      },
    ],
  },
}
const GOLD_RULE = { match: { k: 'trait', path: 'plan', op: 'eq', value: 'gold' } }

export const RuleDocument = Type.Record(Type.String(), Type.Unknown(), {
  description:
    'The rule: `match` is a tree of `all`, `any`, `atLeast`, `not` over conditions on traits (`k: "trait"`), dates, ' +
    'counts and amounts of events in a window (`k: "agg"`), first and last events, absence, ordered steps, lists ' +
    'and other segments: see `GET /api/v1/rule-schema` and docs/SEGMENTS.md. A mistake is answered with its path.',
  examples: [EXAMPLE_RULE, GOLD_RULE],
})
const Author = Type.String({ maxLength: 100, description: 'Absent = the key that asks' })
const Note = Type.String({ maxLength: 1000, description: 'Why this version' })

export const SegmentParams = Type.Object({
  segment: Type.String({
    minLength: 1,
    maxLength: 63,
    description: 'Slug or number',
    examples: ['gold-plan'],
  }),
})

const Segment = Type.Object({
  segmentId: Type.Integer({ examples: [1] }),
  slug: Type.String({ examples: ['gold-plan'] }),
  name: Type.String({ examples: ['Customers on the gold plan'] }),
  version: Type.Union([Type.Integer(), Type.Null()], { description: 'The live version', examples: [1] }),
  rule: Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()]),
  createdAt: Type.String({ format: 'date-time' }),
  archivedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
})

const Changed = Type.Object({
  ...Segment.properties,
  profilesToEvaluate: Type.Union([Type.Integer(), Type.Null()], {
    description:
      'Profiles handed to the segment pool; null = the queue could not be reached, and they will be within minutes',
    examples: [120],
  }),
})

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

function readRoutes(app: HttpServer, { sql }: ApiDeps): void {
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
    async () => ({ data: (await listSegments(sql)).map(shown) }),
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
    async ({ params }) => shown(await segmentOf(sql, params.segment)),
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
  const { sql } = deps

  routes.post(
    '/api/v1/segments',
    {
      schema: {
        tags,
        summary: 'Make a segment',
        description:
          'It is live at once. People who fit already enter with the reason `backfill`, which triggers no campaign.',
        body: NewSegment,
        response: { 201: Changed },
      },
    },
    async (request, reply) => {
      const { slug, name, rule, author, note } = request.body
      const version = { ...checkRule(rule), author: author ?? actorOf(request), note: note ?? '' }
      const segment = await createSegment(sql, { slug, name, ...version })
      if (segment === undefined)
        throw fail('conflict', 'there is or was a segment of this slug', { field: 'slug' })
      await audit(sql, request, 'segment.create', segment)
      return reply.code(201).send(await evaluated(deps, segment))
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
          'An archived segment comes back with it.',
        params: SegmentParams,
        body: NewRule,
        response: { 200: Changed },
      },
    },
    async (request) => {
      const { rule, author, note } = request.body
      const version = { ...checkRule(rule), author: author ?? actorOf(request), note: note ?? '' }
      const before = await segmentOf(sql, request.params.segment)
      if (before.archivedAt === null && before.rule !== null) {
        if (checkRule(before.rule).ruleHash === version.ruleHash)
          return { ...shown(before), profilesToEvaluate: 0 }
      }
      const segment = await addVersion(sql, before.segmentId, version)
      if (segment === undefined) throw noSuchSegment()
      await audit(sql, request, 'segment.rule', segment)
      return evaluated(deps, segment)
    },
  )

  routes.delete(
    '/api/v1/segments/:segment',
    {
      schema: {
        tags,
        summary: 'Archive a segment',
        description: 'Everybody leaves it. Its versions and history are kept, and its slug stays taken.',
        params: SegmentParams,
        response: { 200: Changed },
      },
    },
    async (request) => {
      const { segmentId } = await segmentOf(sql, request.params.segment)
      const changed = await archiveSegment(sql, segmentId)
      const segment = await segmentOf(sql, String(segmentId))
      if (!changed) return { ...shown(segment), profilesToEvaluate: 0 }
      await audit(sql, request, 'segment.archive', segment)
      return evaluated(deps, segment)
    },
  )
}

/** The segment of a slug or number; throws `not_found`. */
export async function segmentOf(sql: Queryable, idOrSlug: string): Promise<SegmentRow> {
  const segment = await readSegment(sql, idOrSlug)
  if (segment === undefined) throw noSuchSegment()
  return segment
}

function noSuchSegment() {
  return fail('not_found', 'there is no segment of this slug or number', { field: 'segment' })
}

async function evaluated(deps: ApiDeps, segment: SegmentRow) {
  return { ...shown(segment), profilesToEvaluate: await evaluateAgain(deps, changeOf(segment)) }
}

function changeOf({ segmentId, liveVersion, archivedAt }: SegmentRow): OpenBackfill {
  return { id: segmentId, change: `${archivedAt === null ? 'v' : 'a'}${liveVersion ?? 0}` }
}

async function audit(
  sql: Queryable,
  request: FastifyRequest,
  action: string,
  segment: SegmentRow,
): Promise<void> {
  const details = { slug: segment.slug, version: segment.liveVersion }
  await recordAudit(sql, { actor: actorOf(request), action, target: String(segment.segmentId), details })
}

function shown({ liveVersion, createdAt, archivedAt, ...rest }: SegmentRow) {
  return {
    ...rest,
    version: liveVersion,
    createdAt: createdAt.toISOString(),
    archivedAt: archivedAt?.toISOString() ?? null,
  }
}
