// Cut points of metrics, which quantiles go by (`k: "quantile"`): asking for them, and reading those that rules go by now.
// The clock works them out, every hour from then on.
import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { shown as shownAmount } from '../domain/segments/metric-values.ts'
import { isMeasurable } from '../domain/segments/metrics.ts'
import { schedule } from '../queues/pipeline.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { recordAudit } from '../store/audit.ts'
import { keepCuts } from '../store/metric-cuts.ts'
import type { MetricRow } from '../store/metrics.ts'
import { actorOf } from './admission.ts'
import type { ApiDeps } from './deps.ts'
import { MetricParams, metricOf } from './metrics.ts'
import { typed } from './typed.ts'

const tags = ['metrics']

const Cuts = Type.Object({
  metric: Type.String({ examples: ['orders-365d'] }),
  kept: Type.Boolean({ description: 'They are worked out every hour' }),
  cuts: Type.Union([
    Type.Object({
      version: Type.Integer({ description: 'Rises when they have moved' }),
      metricVersion: Type.Integer({ description: 'Of which definition of the metric' }),
      asOf: Type.String({ format: 'date-time' }),
      people: Type.Integer({ description: 'Who has a value' }),
      points: Type.Array(Type.String(), {
        description:
          'The 99 values that part them into hundreds, ascending, in the unit of the definition: below the first lies at ' +
          'most a hundredth of the people',
      }),
    }),
    Type.Null(),
  ]),
})
export type Cuts = Static<typeof Cuts>

export function metricCutRoutes(app: HttpServer, deps: ApiDeps): void {
  const routes = typed(app)
  const { sql, sender } = deps

  routes.get(
    '/api/v1/metrics/:metric/cuts',
    {
      schema: {
        tags,
        summary: 'Read the cut points of a metric',
        description: 'Those that quantiles go by now; null while there are none.',
        params: MetricParams,
        response: { 200: Cuts },
      },
    },
    async ({ params }) => shown(await metricOf(sql, params.metric)),
  )

  routes.post(
    '/api/v1/metrics/:metric/cuts',
    {
      schema: {
        tags,
        summary: 'Have the cut points of a metric worked out',
        description:
          'Now, by the clock, and every hour from then on. There is a new version when more than half a percent of the ' +
          'people lie between an old point and its new one; then everybody is evaluated again with the reason ' +
          '`rule_changed`. Answers with those that are there so far.',
        params: MetricParams,
        response: { 202: Cuts },
      },
    },
    async (request, reply) => {
      const metric = await metricOf(sql, request.params.metric)
      if (metric.archivedAt !== null || !isMeasurable(metric.definition))
        throw fail(
          'conflict',
          'only a metric that is counted, summed or measured, and not archived, has cut points',
        )
      await keepCuts(sql, metric.slug)
      if (!metric.keepsCuts) await audit(deps, request, metric)
      await sender.send(schedule, [{ v: 1, task: 'metric-cuts' }])
      return reply.code(202).send(shown({ ...metric, keepsCuts: true }))
    },
  )
}

async function audit(
  { sql }: ApiDeps,
  request: FastifyRequest,
  { metricId, slug }: MetricRow,
): Promise<void> {
  await recordAudit(sql, {
    ...{ actor: actorOf(request), action: 'metric.cuts', target: String(metricId), details: { slug } },
  })
}

function shown({ slug, keepsCuts, cuts }: MetricRow): Static<typeof Cuts> {
  if (cuts === undefined) return { metric: slug, kept: keepsCuts, cuts: null }
  const { version, metricVersion, definition, asOf, people } = cuts
  const points = cuts.points.map((point) => shownAmount(point, definition))
  return {
    metric: slug,
    kept: keepsCuts,
    cuts: { version, metricVersion, asOf: asOf.toISOString(), people, points },
  }
}
