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
  /**
   * Jobs a second that one replica finishes at 80 % of its ceiling, for a pool whose work does not follow the events: what
   * drained a backlog and is still needed must not be taken away because nothing waits any more. null = not counted.
   */
  jobsPerSecondPerReplica: number | null
}

/**
 * In flow order. Where the numbers come from: `eventsPerSecondPerReplica` is 80 % of what was measured (domain/capacity.json),
 * less where the measurement was kind; `maxReplicas` carries 1,000,000 events/s and some more; jobs and windows are those beyond
 * which the simulator refuses more of a flash sale (`node loadtest/sweep.ts` halves and doubles each: percentages are its).
 */
export const SCALING: readonly PoolScaling[] = [
  {
    pool: 'collector',
    queues: null,
    // Two, for a door that stays open while one restarts.
    minReplicas: 2,
    maxReplicas: 30,
    jobsPerReplica: null,
    ageSeconds: null,
    // A fifth of the events alone in their requests: these cost eight times as much as those in batches (125,000).
    eventsPerSecondPerReplica: 50_000,
    jobsPerSecondPerReplica: null,
  },
  {
    pool: 'ingest',
    queues: 'ingest',
    minReplicas: 2,
    maxReplicas: 20,
    // A tenth of the door's soft mark (4,000 jobs of ingest and persist): ten replicas are asked for before it closes.
    // 800 refuses 13.7 % of an unprepared sale instead of 9.5 %, 200 gains nothing.
    jobsPerReplica: 400,
    // Never decides while depth is seen; speaks for slow jobs, which are old before they are many.
    ageSeconds: 5,
    eventsPerSecondPerReplica: 70_000,
    jobsPerSecondPerReplica: null,
  },
  {
    pool: 'persist',
    queues: 'persist',
    minReplicas: 2,
    maxReplicas: 20,
    // A tenth of the queue's budget (1,000 jobs), where ingest begins to wait: more would never be seen. 200 refuses
    // 11.7 %, 400 21.9 %.
    jobsPerReplica: 100,
    ageSeconds: 5,
    eventsPerSecondPerReplica: 80_000,
    jobsPerSecondPerReplica: null,
  },
  {
    pool: 'segment',
    queues: 'segment-.*',
    minReplicas: 2,
    // As many as shards: a shard has one writer.
    maxReplicas: 16,
    jobsPerReplica: 200,
    // Memberships are promised within seconds.
    ageSeconds: 2,
    // Measured with one rule: 348,000. Half, as rules cost by how many ask for an event.
    eventsPerSecondPerReplica: 150_000,
    jobsPerSecondPerReplica: null,
  },
  {
    pool: 'deliver',
    queues: 'deliver-.*',
    minReplicas: 2,
    maxReplicas: 16,
    // Three seconds of one replica. Providers that are slow show in the age.
    jobsPerReplica: 2_000,
    ageSeconds: 30,
    // Messages follow from entries, not from events: by what is sent. Without it the simulator goes up and down every five
    // minutes where the load is a little more than two replicas take.
    eventsPerSecondPerReplica: null,
    jobsPerSecondPerReplica: 600,
  },
  {
    pool: 'archive',
    queues: 'archive',
    minReplicas: 1,
    maxReplicas: 12,
    // A fifth of the budget (500 jobs), beyond which ingest leaves gaps to be read back from Postgres: 0.1 % of a sale,
    // with 200 2.0 %.
    jobsPerReplica: 100,
    // Nobody waits for it, and it never closes the door.
    ageSeconds: 60,
    eventsPerSecondPerReplica: 120_000,
    jobsPerSecondPerReplica: null,
  },
  {
    pool: 'schedule',
    queues: 'schedule',
    // One clock; tasks are leased, so a second would only wait.
    minReplicas: 1,
    maxReplicas: 1,
    jobsPerReplica: null,
    ageSeconds: null,
    eventsPerSecondPerReplica: null,
    jobsPerSecondPerReplica: null,
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
    /** The larger of the two, each 15 s. Two refuse 0.2 % more of a flash sale, eight gain nothing. */
    percent: 100,
    pods: 4,
    periodSeconds: 15,
  },
  /** Five minutes outlast the pause between two waves; two would save a fifth of a sale's pod hours and start them anew. */
  scaleDown: { stabilizationWindowSeconds: 300, percent: 25, periodSeconds: 60 },
} as const satisfies Behaviour

/**
 * What the rule sees and when: Prometheus' scrape interval, the window of rate(), HPA's own period. A window of 60 s refuses
 * 12.8 % of an unprepared sale instead of 9.5 %; one of 15 s 8.6 %, but holds three scrapes only.
 */
export const OBSERVATION = { scrapeSeconds: 5, rateWindowSeconds: 30, syncSeconds: 15 } as const
