// What all metrics are of one person, from their own events, now or at another instant. Under a user id and under a profile
// number.
import Type, { type Static } from 'typebox'
import { metricValue } from '../domain/segments/metric-values.ts'
import { compileMetrics } from '../domain/segments/plan.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { openPlan, readFacts } from '../store/facts.ts'
import { listMetrics, toMetrics } from '../store/metrics.ts'
import type { ApiDeps } from './deps.ts'
import { instantAt } from './instants.ts'
import { PROFILE_DOORS } from './profile-doors.ts'
import { typed } from './typed.ts'

const Values = Type.Object({
  asOf: Type.String({ format: 'date-time' }),
  data: Type.Array(
    Type.Object({
      metric: Type.String({ examples: ['orders-365d'] }),
      version: Type.Integer({ examples: [1] }),
      value: Type.Unknown({
        description:
          'What is counted, summed or measured as decimal text, revenue in the unit of the definition; the property of an ' +
          'event as it was sent; null = no value',
        examples: ['3'],
      }),
      events: Type.Integer({ description: 'Events that it is worked out from', examples: [3] }),
    }),
    { description: 'Every metric that is not archived, by slug' },
  ),
})

export type MetricValues = Static<typeof Values>

const Query = Type.Object(
  {
    at: Type.Optional(
      Type.String({
        description:
          'Another instant than now, before it or to come: by the definitions and the data of today',
        examples: ['2026-12-24T00:00:00Z'],
      }),
    ),
  },
  { additionalProperties: false },
)

export function userMetricRoutes(app: HttpServer, deps: ApiDeps): void {
  for (const door of PROFILE_DOORS)
    typed(app).get(
      `${door.path}/metrics`,
      {
        schema: {
          tags: [door.tag],
          summary: `All metrics of the ${door.noun}`,
          params: door.params,
          querystring: Query,
          response: { 200: Values },
        },
      },
      async (request) => {
        const asOfMs = request.query.at === undefined ? deps.clock.now() : instantAt(request.query.at, 'at')
        return valuesOf(deps, await door.resolve(deps.servers, request.params), asOfMs)
      },
    )
}

async function valuesOf(deps: ApiDeps, profileId: number, asOfMs: number): Promise<Static<typeof Values>> {
  const { servers } = deps
  const metrics = toMetrics(await listMetrics(servers.home))
  const plan = compileMetrics(metrics)
  const asked = await openPlan(deps, plan, [])
  const [facts] = await readFacts(servers.of(profileId), asked, [profileId], asOfMs)
  if (facts === undefined) throw fail('not_found', 'there is no such profile')
  return {
    asOf: new Date(asOfMs).toISOString(),
    data: plan.leaves.map(({ metric, version, of }) => {
      const definition = metrics.get(metric)?.definition
      if (definition === undefined) throw new Error(`the metric ${metric} was compiled and is not known`)
      return { metric, version, ...metricValue(definition, of, facts, asOfMs) }
    }),
  }
}
