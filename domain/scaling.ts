// How each pool scales: one rule for the manifests (k8s/), the simulator (loadtest/) and `millrace autoscale`. The formulae
// are those of Kubernetes' HPA and KEDA: the largest of what depth, age and arriving events ask for. Pure.

export type PoolScaling = {
  /** Name in workers/registry.ts. */
  pool: string
  /** Its BullMQ queues, as a pattern of the exporter's label `queue`; null for the collector, which has none. */
  queues: string | null
  minReplicas: number
  maxReplicas: number
  /** Waiting and active jobs that one replica works off within the time it takes another to start; null = not counted. */
  jobsPerReplica: number | null
  /** Age of the oldest waiting job at which the present replicas are just enough, seconds; null = not counted. */
  ageSeconds: number | null
  /** Events a second that one replica works at 80 % of its ceiling, for the feed-forward; null = not counted. */
  eventsPerSecondPerReplica: number | null
}

/** In flow order. */
export const SCALING: readonly PoolScaling[] = [
  {
    pool: 'collector',
    queues: null,
    minReplicas: 2,
    maxReplicas: 32,
    jobsPerReplica: null,
    ageSeconds: null,
    eventsPerSecondPerReplica: 80_000,
  },
  {
    pool: 'ingest',
    queues: 'ingest',
    minReplicas: 2,
    maxReplicas: 32,
    jobsPerReplica: 400,
    ageSeconds: 5,
    eventsPerSecondPerReplica: 60_000,
  },
  {
    pool: 'persist',
    queues: 'persist',
    minReplicas: 2,
    maxReplicas: 32,
    jobsPerReplica: 200,
    ageSeconds: 5,
    eventsPerSecondPerReplica: 50_000,
  },
  {
    pool: 'segment',
    queues: 'segment-.*',
    minReplicas: 2,
    maxReplicas: 16,
    jobsPerReplica: 200,
    ageSeconds: 2,
    eventsPerSecondPerReplica: 120_000,
  },
  {
    pool: 'deliver',
    queues: 'deliver-.*',
    minReplicas: 2,
    maxReplicas: 16,
    jobsPerReplica: 2_000,
    ageSeconds: 30,
    eventsPerSecondPerReplica: null,
  },
  {
    pool: 'archive',
    queues: 'archive',
    minReplicas: 1,
    maxReplicas: 8,
    jobsPerReplica: 200,
    ageSeconds: 60,
    eventsPerSecondPerReplica: 80_000,
  },
  {
    pool: 'schedule',
    queues: 'schedule',
    minReplicas: 1,
    maxReplicas: 1,
    jobsPerReplica: null,
    ageSeconds: null,
    eventsPerSecondPerReplica: null,
  },
]

/** How fast the number may change, as in an HPA's `behavior`. */
export type Behaviour = {
  scaleUp: { stabilizationWindowSeconds: number; percent: number; pods: number; periodSeconds: number }
  scaleDown: { stabilizationWindowSeconds: number; percent: number; periodSeconds: number }
}

/** Up at once, down slowly: a pod too many costs less than a backlog. */
export const BEHAVIOUR = {
  scaleUp: {
    stabilizationWindowSeconds: 0,
    /** The larger of the two, each 15 s. */
    percent: 100,
    pods: 4,
    periodSeconds: 15,
  },
  scaleDown: { stabilizationWindowSeconds: 300, percent: 25, periodSeconds: 60 },
} as const satisfies Behaviour
