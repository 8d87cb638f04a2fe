// The ScaledObjects: their numbers are those of domain/scaling.ts, their queues those of the pipeline, their metrics those
// that are served, and KEDA's scalers know every key that they are given.
import { describe, expect, test } from 'vitest'
import { STATES, startExporter } from '../../dashboard/exporter.ts'
import { DEFAULT_SHARDS } from '../../domain/buckets.ts'
import { BEHAVIOUR, SCALING } from '../../domain/scaling.ts'
import { queuePrefix } from '../../queues/define.ts'
import { allQueueNames } from '../../queues/pipeline.ts'
import { readConfig } from '../../runtime/config.ts'
import { DEPLOYMENT_METRICS, PROCESS_METRICS } from '../../runtime/metrics.ts'
import { REGISTRY } from '../../workers/registry.ts'
import {
  at,
  hasKubectl,
  type Json,
  listAt,
  type Manifest,
  numberAt,
  ofKind,
  render,
  textAt,
} from '../support/manifests.ts'
import { scaledObjects } from '../support/scaled-objects.ts'
import { testWorld } from '../support/world.ts'

const config = readConfig({})
const allQueues = allQueueNames(DEFAULT_SHARDS)

/** What KEDA 2.19's scalers read of `metadata`; an unknown key would be ignored without a word. */
const SCALER_KEYS: Record<string, { required: string[]; optional: string[] }> = {
  prometheus: { required: ['serverAddress', 'query', 'threshold'], optional: ['ignoreNullValues'] },
  redis: { required: ['listName', 'listLength'], optional: ['enableTLS', 'databaseIndex'] },
  cpu: { required: ['value'], optional: [] },
}

const triggersOf = (one: Manifest | undefined): Json[] => listAt(one, 'spec', 'triggers')
const queriesOf = (manifests: Manifest[]): string[] =>
  ofKind(manifests, 'ScaledObject')
    .flatMap(triggersOf)
    .map((trigger) => textAt(trigger, 'metadata', 'query'))
    .filter((query) => query !== '')

const SERVED = [...Object.values(PROCESS_METRICS), ...Object.values(DEPLOYMENT_METRICS)]

/** Metrics and labels of a query that no process serves. */
function queryComplaints(query: string): string[] {
  return [...query.matchAll(/(\w+)\{([^}]*)\}/g)].flatMap(([, name = '', labels = '']) => {
    const metric = SERVED.find((one) => one.name === name)
    if (metric === undefined) return [`${name} is served by nobody`]
    const known: readonly string[] = metric.labels
    const grouped = /by \(([^)]*)\)/.exec(query)?.[1]?.split(', ') ?? []
    return [...[...labels.matchAll(/(\w+)=/g)].map((match) => match[1] ?? ''), ...grouped]
      .filter((label) => !known.includes(label))
      .map((label) => `${name} has no label ${label}`)
  })
}

test.each(['prometheus', 'redis'] as const)(
  'the ScaledObjects by %s are those of domain/scaling.ts',
  async (by) => {
    const text = scaledObjects(by, { namespace: config.namespace, allQueues })
    await expect(text).toMatchFileSnapshot(`../../k8s/components/autoscale-${by}/scaled-objects.yaml`)
  },
)

test('a metric or a label that nobody serves would be found', () => {
  expect(queryComplaints('sum(millrace_queue_jobs{queue=~"ingest"})')).toEqual([])
  expect(queryComplaints('sum(millrace_queue_depth{queue=~"ingest"})')).toEqual([
    'millrace_queue_depth is served by nobody',
  ])
  expect(queryComplaints('max by (pool) (millrace_queue_jobs{lane="ingest"})')).toEqual([
    'millrace_queue_jobs has no label lane',
    'millrace_queue_jobs has no label pool',
  ])
})

test('no pool scales beyond the shards that there are, and every pool has a rule', () => {
  expect(SCALING.map((pool) => pool.pool)).toEqual(REGISTRY.map((row) => row.name))
  for (const { pool, queues } of SCALING) {
    const row = REGISTRY.find((one) => one.name === pool)
    expect(queues === null, pool).toBe(row?.consumes === null)
  }
  const segment = SCALING.find((pool) => pool.pool === 'segment')
  expect(segment?.maxReplicas).toBeLessThanOrEqual(DEFAULT_SHARDS)
})

describe.skipIf(!hasKubectl())('overlays with an autoscaler', () => {
  const byPrometheus = () => render('production')
  const byRedis = () => render('production-without-prometheus')
  const scaledOf = (manifests: Manifest[], pool: string) =>
    ofKind(manifests, 'ScaledObject').find((one) => textAt(one, 'spec', 'scaleTargetRef', 'name') === pool)

  test.each(['production', 'production-without-prometheus'])(
    '%s: bounds and speed are those of the table',
    (name) => {
      const manifests = render(name)
      for (const pool of SCALING.filter((one) => one.maxReplicas > 1)) {
        const spec = at(scaledOf(manifests, pool.pool), 'spec')
        expect(numberAt(spec, 'minReplicaCount'), pool.pool).toBe(pool.minReplicas)
        expect(numberAt(spec, 'maxReplicaCount'), pool.pool).toBe(pool.maxReplicas)
        const behaviour = at(spec, 'advanced', 'horizontalPodAutoscalerConfig', 'behavior')
        const { scaleUp, scaleDown } = BEHAVIOUR
        expect(behaviour).toEqual({
          scaleUp: {
            stabilizationWindowSeconds: scaleUp.stabilizationWindowSeconds,
            selectPolicy: 'Max',
            policies: [
              { type: 'Percent', value: scaleUp.percent, periodSeconds: scaleUp.periodSeconds },
              { type: 'Pods', value: scaleUp.pods, periodSeconds: scaleUp.periodSeconds },
            ],
          },
          scaleDown: {
            stabilizationWindowSeconds: scaleDown.stabilizationWindowSeconds,
            policies: [{ type: 'Percent', value: scaleDown.percent, periodSeconds: scaleDown.periodSeconds }],
          },
        })
      }
      const fixed = SCALING.filter((one) => one.maxReplicas === 1)
      expect(fixed.map((pool) => scaledOf(manifests, pool.pool))).toEqual(fixed.map(() => undefined))
    },
  )

  test.each(['production', 'production-without-prometheus'])(
    '%s: a scaler knows every key that it is given',
    (name) => {
      for (const trigger of ofKind(render(name), 'ScaledObject').flatMap(triggersOf)) {
        const keys = SCALER_KEYS[textAt(trigger, 'type')]
        const given = Object.keys(at(trigger, 'metadata') ?? {})
        expect(keys?.required.filter((key) => !given.includes(key))).toEqual([])
        expect(given.filter((key) => !keys?.required.includes(key) && !keys?.optional.includes(key))).toEqual(
          [],
        )
      }
    },
  )

  test('each threshold is the figure of the table that its query is about', () => {
    const manifests = byPrometheus()
    for (const pool of SCALING) {
      const thresholds = triggersOf(scaledOf(manifests, pool.pool)).map((trigger) => [
        textAt(trigger, 'name'),
        Number(textAt(trigger, 'metadata', 'threshold')),
        textAt(trigger, 'metricType'),
      ])
      const expected = [
        ['depth', pool.jobsPerReplica, 'AverageValue'],
        ['age', pool.ageSeconds, 'Value'],
        ['arriving', pool.eventsPerSecondPerReplica, 'AverageValue'],
        ['finished', pool.jobsPerSecondPerReplica, 'AverageValue'],
      ]
      expect(thresholds, pool.pool).toEqual(
        pool.maxReplicas > 1 ? expected.filter(([, value]) => value !== null) : [],
      )
    }
  })

  test('every query asks for metrics and labels that are served, and all of them one Prometheus', () => {
    const manifests = byPrometheus()
    expect(queriesOf(manifests)).toHaveLength(
      SCALING.flatMap((pool) =>
        pool.maxReplicas > 1
          ? [
              pool.jobsPerReplica,
              pool.ageSeconds,
              pool.eventsPerSecondPerReplica,
              pool.jobsPerSecondPerReplica,
            ].filter((one) => one !== null)
          : [],
      ).length,
    )
    expect(queriesOf(manifests).flatMap(queryComplaints)).toEqual([])
    const addresses = ofKind(manifests, 'ScaledObject')
      .flatMap(triggersOf)
      .map((trigger) => textAt(trigger, 'metadata', 'serverAddress'))
    expect([...new Set(addresses)]).toEqual(['http://prometheus.monitoring.svc:9090'])
  })

  test('queries see every queue that the exporter serves, each by the pool that works it', async () => {
    const world = await testWorld({ exporterPort: 0, shards: DEFAULT_SHARDS })
    const { depth, servers, producer, log } = world
    const exporter = await startExporter({ config: world.config, depth, servers, redis: producer, log })
    const text = await (await fetch(`${exporter.url}/metrics`)).text()
    await exporter.stop()
    await world.close()
    const series = [...text.matchAll(/millrace_queue_jobs\{queue="([^"]+)",state="([^"]+)"\}/g)]
    expect(new Set(series.map((match) => match[1]))).toEqual(new Set(allQueues))
    const manifests = byPrometheus()
    for (const pool of SCALING.filter((one) => one.maxReplicas > 1 && one.queues !== null)) {
      const row = REGISTRY.find((one) => one.name === pool.pool)
      const own = allQueues.filter(
        (queue) => queue === row?.consumes || queue.startsWith(`${row?.consumes}-`),
      )
      const asked = triggersOf(scaledOf(manifests, pool.pool)).map((trigger) =>
        textAt(trigger, 'metadata', 'query'),
      )
      for (const [, pattern = ''] of asked.flatMap((query) => [...query.matchAll(/queue=~"([^"]+)"/g)])) {
        const fits = new RegExp(`^(?:${pattern})$`)
        expect(
          allQueues.filter((queue) => fits.test(queue)),
          pool.pool,
        ).toEqual(own)
      }
      for (const [, states = ''] of asked.flatMap((query) => [...query.matchAll(/state=~"([^"]+)"/g)]))
        expect(states.split('|').filter((state) => !(STATES as readonly string[]).includes(state))).toEqual(
          [],
        )
    }
    expect(allQueues.length).toBeGreaterThan(20)
  })

  test('without Prometheus the lists of all scaled queues are added up, none is missed and none counted twice', () => {
    const manifests = byRedis()
    for (const pool of SCALING.filter((one) => one.jobsPerReplica !== null)) {
      const row = REGISTRY.find((one) => one.name === pool.pool)
      const own = allQueues.filter(
        (queue) => queue === row?.consumes || queue.startsWith(`${row?.consumes}-`),
      )
      const one = scaledOf(manifests, pool.pool)
      const lists = triggersOf(one).map((trigger) => textAt(trigger, 'metadata', 'listName'))
      const keys = own.flatMap((queue) =>
        ['wait', 'active'].map((list) => `${queuePrefix(config.namespace, queue)}:${queue}:${list}`),
      )
      expect(lists.sort(), pool.pool).toEqual(keys.sort())
      const modifiers = at(one, 'spec', 'advanced', 'scalingModifiers')
      const names = triggersOf(one).map((trigger) => textAt(trigger, 'name'))
      expect(textAt(modifiers, 'formula').split(' + ').sort()).toEqual(names.sort())
      expect(textAt(modifiers, 'target')).toBe(String(pool.jobsPerReplica))
      expect(textAt(modifiers, 'metricType')).toBe('AverageValue')
    }
    expect(triggersOf(scaledOf(manifests, 'collector')).map((trigger) => textAt(trigger, 'type'))).toEqual([
      'cpu',
    ])
  })
})
