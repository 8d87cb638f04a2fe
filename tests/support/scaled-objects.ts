// The ScaledObjects of k8s/components/ as domain/scaling.ts says them: tests/k8s/autoscale.test.ts compares the committed
// files with these, and writes them again with -u. One set for clusters with Prometheus, one that asks Redis alone.
import { stringify } from 'yaml'
import { BEHAVIOUR, OBSERVATION, type PoolScaling, SCALING } from '../../domain/scaling.ts'
import { queuePrefix } from '../../queues/define.ts'
import { DEPLOYMENT_METRICS, PROCESS_METRICS } from '../../runtime/metrics.ts'

type Trigger = {
  type: string
  name?: string
  metricType?: string
  metadata: Record<string, string>
  authenticationRef?: { name: string }
}
type Scaling = { triggers: Trigger[]; formula?: { formula: string; target: string; metricType: string } }

/** This and `type` and `enableTLS` of the Redis scaler are set by replacements in the components' kustomizations. */
const PROMETHEUS = 'http://prometheus'
/** The collector without Prometheus: what it takes at 80 % of its ceiling is a core at 80 %. */
const COLLECTOR_CPU_PERCENT = 80

const NOTE =
  ' Made from domain/scaling.ts by tests/k8s/autoscale.test.ts: edit the table, then run\n npm test -- tests/k8s/autoscale.test.ts -u\n'

/** `deployment` names the lists; it is a new one as the configuration has it by default. */
export function scaledObjects(
  by: 'prometheus' | 'redis',
  deployment: { namespace: string; allQueues: string[] },
): string {
  const objects = SCALING.flatMap((pool) => {
    const scaling = by === 'prometheus' ? byPrometheus(pool) : byRedis(pool, deployment)
    return scaling.triggers.length === 0 ? [] : [scaledObject(pool, scaling)]
  })
  return `#${NOTE.trimEnd().replaceAll('\n', '\n#')}\n${objects.map((one) => stringify(one, { lineWidth: 0 })).join('---\n')}`
}

function scaledObject(pool: PoolScaling, { triggers, formula }: Scaling) {
  const { scaleUp, scaleDown } = BEHAVIOUR
  const measured = triggers.some((trigger) => trigger.type !== 'cpu')
  return {
    apiVersion: 'keda.sh/v1alpha1',
    kind: 'ScaledObject',
    metadata: { name: pool.pool },
    spec: {
      scaleTargetRef: { kind: pool.pool === 'archive' ? 'StatefulSet' : 'Deployment', name: pool.pool },
      minReplicaCount: pool.minReplicas,
      maxReplicaCount: pool.maxReplicas,
      pollingInterval: 15,
      // When it cannot be seen how much waits, a pool that has grown stays as it is.
      ...(measured
        ? {
            fallback: {
              failureThreshold: 3,
              replicas: pool.minReplicas,
              behavior: 'currentReplicasIfHigher',
            },
          }
        : {}),
      advanced: {
        ...(formula === undefined ? {} : { scalingModifiers: formula }),
        horizontalPodAutoscalerConfig: {
          behavior: {
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
              policies: [
                { type: 'Percent', value: scaleDown.percent, periodSeconds: scaleDown.periodSeconds },
              ],
            },
          },
        },
      },
      triggers,
    },
  }
}

/** Depth, age, arriving events and finished jobs; the HPA takes the largest of what they ask for. */
function byPrometheus(pool: PoolScaling): Scaling {
  const { queueJobs, queueOldestAgeSeconds } = DEPLOYMENT_METRICS
  const { events, jobs } = PROCESS_METRICS
  const window = `${OBSERVATION.rateWindowSeconds}s`
  const triggers: Trigger[] = []
  const ask = (name: string, query: string, threshold: number, metricType: string) =>
    triggers.push({
      type: 'prometheus',
      name,
      metricType,
      // No value is not 0: what was scraped is gone, and the fallback holds the pool as it is.
      metadata: { serverAddress: PROMETHEUS, query, threshold: String(threshold), ignoreNullValues: 'false' },
    })
  if (pool.jobsPerReplica !== null)
    ask(
      'depth',
      `sum(max by (queue, state) (${queueJobs.name}{queue=~"${pool.queues}",state=~"waiting|active"}))`,
      pool.jobsPerReplica,
      'AverageValue',
    )
  if (pool.ageSeconds !== null)
    ask('age', `max(${queueOldestAgeSeconds.name}{queue=~"${pool.queues}"})`, pool.ageSeconds, 'Value')
  if (pool.eventsPerSecondPerReplica !== null)
    ask(
      'arriving',
      `sum(rate(${events.name}{stage="collector",verdict="accepted"}[${window}]))`,
      pool.eventsPerSecondPerReplica,
      'AverageValue',
    )
  if (pool.jobsPerSecondPerReplica !== null)
    ask(
      'finished',
      `sum(rate(${jobs.name}{pool="${pool.pool}",outcome="done"}[${window}]))`,
      pool.jobsPerSecondPerReplica,
      'AverageValue',
    )
  return { triggers }
}

/** Depth alone: KEDA adds up the lists of a pool's queues, of waiting and of active jobs. */
function byRedis(pool: PoolScaling, deployment: { namespace: string; allQueues: string[] }): Scaling {
  if (pool.jobsPerReplica === null) {
    if (pool.queues !== null) return { triggers: [] }
    const metadata = { value: String(COLLECTOR_CPU_PERCENT) }
    return { triggers: [{ type: 'cpu', metricType: 'Utilization', metadata }] }
  }
  const isOfPool = new RegExp(`^(${pool.queues})$`)
  const triggers = deployment.allQueues
    .filter((queue) => isOfPool.test(queue))
    .flatMap((queue) =>
      ['wait', 'active'].map((list) => ({
        type: 'redis',
        name: `${queue.replaceAll('-', '_')}_${list}`,
        metadata: {
          listName: `${queuePrefix(deployment.namespace, queue)}:${queue}:${list}`,
          listLength: String(pool.jobsPerReplica),
          enableTLS: 'false',
        },
        authenticationRef: { name: 'redis' },
      })),
    )
  const formula = triggers.map((trigger) => trigger.name).join(' + ')
  return { triggers, formula: { formula, target: String(pool.jobsPerReplica), metricType: 'AverageValue' } }
}
