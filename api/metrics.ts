// Metrics: values of a person under a name, that rules compare (`k: "computed"`). Another definition is another version,
// also of the segments that name it. What they are of a person is in api/user-metrics.ts.
import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { checkMetric } from '../domain/segments/parse-metrics.ts'
import { schedule } from '../queues/pipeline.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { recordAudit } from '../store/audit.ts'
import { archiveMetric, createMetric, defineMetric } from '../store/metric-changes.ts'
import { listMetrics, type MetricRow, readMetric } from '../store/metrics.ts'
import { actorOf } from './admission.ts'
import { beginRuns } from './begin-runs.ts'
import type { ApiDeps } from './deps.ts'
import { tellChange } from './tell-change.ts'
import { typed } from './typed.ts'

const tags = ['metrics']

const ORDERS = {
  k: 'agg',
  event: 'Order Completed',
  agg: 'count',
  window: { k: 'rolling', last: 'P365D' },
}
const SPENT = {
  k: 'agg',
  event: 'Order Completed',
  agg: 'sum',
  prop: 'revenue',
  currency: 'USD',
  window: { k: 'rolling', last: 'P365D' },
}
const RECENCY = { k: 'time', event: 'Order Completed', pick: 'last' }

const Definition = Type.Record(Type.String(), Type.Unknown(), {
  description:
    'As a condition of a rule without its comparison: `k: "agg"` (count, sum, min, max, avg, distinct, days, span), ' +
    '`k: "pick"` (a property of the first or last event) or `k: "time"` (days since the first or last event): see ' +
    'docs/SEGMENTS.md. A mistake is answered with its path.',
  examples: [ORDERS, SPENT, RECENCY],
})
const Author = Type.String({ maxLength: 100, description: 'Absent = the key that asks' })
const Note = Type.String({ maxLength: 1000, description: 'Why this version' })

export const MetricParams = Type.Object({
  metric: Type.String({
    pattern: '^[a-z0-9][a-z0-9_-]{0,62}$',
    description: 'Its name in rules',
    examples: ['orders-365d'],
  }),
})

export const Metric = Type.Object({
  slug: Type.String({ examples: ['orders-365d'] }),
  name: Type.String({ examples: ['Orders in a year'] }),
  version: Type.Integer({ description: 'Rises with every other definition', examples: [1] }),
  definition: Type.Record(Type.String(), Type.Unknown()),
  createdAt: Type.String({ format: 'date-time' }),
  archivedAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
})

export type Metric = Static<typeof Metric>

const Changed = Type.Object({
  ...Metric.properties,
  segments: Type.Array(Type.String(), {
    description: 'Slugs of the live segments that name it: each has a new version',
  }),
})

export type ChangedMetric = Static<typeof Changed>

const NewMetric = Type.Object(
  {
    slug: Type.String({ pattern: '^[a-z0-9][a-z0-9_-]{0,62}$' }),
    name: Type.String({ minLength: 1, maxLength: 200, pattern: '^[^\\u0000-\\u001f]+$' }),
    definition: Definition,
    author: Type.Optional(Author),
    note: Type.Optional(Note),
  },
  {
    additionalProperties: false,
    examples: [
      { slug: 'orders-365d', name: 'Orders in a year', definition: ORDERS },
      { slug: 'spent-365d', name: 'Dollars in a year', definition: SPENT, note: 'for the loyalty tiers' },
    ],
  },
)
const NewDefinition = Type.Object(
  { definition: Definition, author: Type.Optional(Author), note: Type.Optional(Note) },
  {
    additionalProperties: false,
    examples: [{ definition: { ...ORDERS, window: { k: 'lifetime' } }, note: 'all orders' }],
  },
)

export function metricRoutes(app: HttpServer, deps: ApiDeps): void {
  readRoutes(app, deps)
  createRoute(app, deps)
  changeRoutes(app, deps)
}

function readRoutes(app: HttpServer, { sql }: ApiDeps): void {
  const routes = typed(app)

  routes.get(
    '/api/v1/metrics',
    {
      schema: {
        tags,
        summary: 'List metrics',
        description: 'All that are not archived, by slug.',
        response: { 200: Type.Object({ data: Type.Array(Metric) }) },
      },
    },
    async () => ({ data: (await listMetrics(sql)).map(shown) }),
  )

  routes.get(
    '/api/v1/metrics/:metric',
    {
      schema: {
        tags,
        summary: 'Read a metric with its definition',
        params: MetricParams,
        response: { 200: Metric },
      },
    },
    async ({ params }) => shown(await metricOf(sql, params.metric)),
  )
}

function createRoute(app: HttpServer, { sql }: ApiDeps): void {
  typed(app).post(
    '/api/v1/metrics',
    {
      schema: {
        tags,
        summary: 'Make a metric',
        description:
          'From then on rules can name it, and it is answered for every person. Costs nothing until a rule does: it is ' +
          'worked out from the events when it is asked for.',
        body: NewMetric,
        response: { 201: Metric },
      },
    },
    async (request, reply) => {
      const { slug, name, definition, author, note } = request.body
      const content = { ...checkMetric(definition), author: author ?? actorOf(request), note: note ?? '' }
      const metric = await createMetric(sql, { slug, name, ...content })
      if (metric === undefined)
        throw fail('conflict', 'there is or was a metric of this slug', { field: 'slug' })
      await audit(sql, request, 'metric.create', metric)
      return reply.code(201).send(shown(metric))
    },
  )
}

function changeRoutes(app: HttpServer, deps: ApiDeps): void {
  const routes = typed(app)
  const { sql } = deps

  routes.put(
    '/api/v1/metrics/:metric/definition',
    {
      schema: {
        tags,
        summary: 'Give a metric another definition',
        description:
          'Makes a new version; versions before are kept. Every live segment that names it gets a new version too, live at ' +
          'once, and everybody is evaluated again with the reason `rule_changed`, which triggers no campaign. Refused with ' +
          '`conflict` when one of them compares it in a way that the definition does not take. The same definition again ' +
          'changes nothing. An archived metric comes back with it. Quantiles go by the definition before until there are cut ' +
          'points of this one.',
        params: MetricParams,
        body: NewDefinition,
        response: { 200: Changed },
      },
    },
    async (request) => {
      const { definition, author, note } = request.body
      const content = { ...checkMetric(definition), author: author ?? actorOf(request), note: note ?? '' }
      const before = await metricOf(sql, request.params.metric)
      if (before.archivedAt === null && before.definitionHash === content.definitionHash)
        return { ...shown(before), segments: [] }
      const defined = await defineMetric(sql, before.slug, content, tellChange(deps))
      if (defined === undefined) throw noSuchMetric()
      await audit(sql, request, 'metric.definition', defined.metric)
      const { metric, renewed } = defined
      if (metric.keepsCuts) await deps.sender.send(schedule, [{ v: 1, task: 'metric-cuts' }])
      const segments = renewed.map((segment) => segment.slug)
      if (renewed.length > 0) await beginRuns(deps)
      return { ...shown(metric), segments }
    },
  )

  routes.delete(
    '/api/v1/metrics/:metric',
    {
      schema: {
        tags,
        summary: 'Archive a metric',
        description:
          'Its versions are kept, and its slug stays taken. Refused with `conflict` while a live segment names it.',
        params: MetricParams,
        response: { 200: Metric },
      },
    },
    async (request) => {
      const { slug } = await metricOf(sql, request.params.metric)
      const changed = await archiveMetric(sql, slug)
      const metric = await metricOf(sql, slug)
      if (changed) await audit(sql, request, 'metric.archive', metric)
      return shown(metric)
    },
  )
}

/** The metric of a slug; throws `not_found`. */
export async function metricOf(sql: ApiDeps['sql'], slug: string): Promise<MetricRow> {
  const metric = await readMetric(sql, slug)
  if (metric === undefined) throw noSuchMetric()
  return metric
}

function noSuchMetric() {
  return fail('not_found', 'there is no metric of this slug', { field: 'metric' })
}

async function audit(
  sql: ApiDeps['sql'],
  request: FastifyRequest,
  action: string,
  { metricId, slug, version }: MetricRow,
): Promise<void> {
  const details = { slug, version }
  await recordAudit(sql, { actor: actorOf(request), action, target: String(metricId), details })
}

function shown({ slug, name, version, definition, createdAt, archivedAt }: MetricRow) {
  return {
    ...{ slug, name, version, definition },
    createdAt: createdAt.toISOString(),
    archivedAt: archivedAt?.toISOString() ?? null,
  }
}
