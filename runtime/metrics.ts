// Every Prometheus metric of Millrace in one table, made per process on a registry that is passed on. Pools report
// their own work; queue depth, age and Redis memory are reported by the one exporter only (cli/), so sums stay true.
import { Counter, Gauge, Histogram, Registry } from 'prom-client'

const SECONDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 5,
  10, 30, 60,
]

export const METRIC_NAMES = {
  jobs: 'millrace_jobs_total',
  jobSeconds: 'millrace_job_duration_seconds',
  jobWaitSeconds: 'millrace_job_wait_seconds',
  events: 'millrace_events_total',
  requests: 'millrace_http_requests_total',
  requestSeconds: 'millrace_http_request_duration_seconds',
  shed: 'millrace_shed_total',
  stalled: 'millrace_jobs_stalled_total',
  membershipSeconds: 'millrace_event_to_membership_seconds',
  persistedSeconds: 'millrace_event_to_persisted_seconds',
  membershipChanges: 'millrace_membership_changes_total',
  deliveries: 'millrace_deliveries_total',
  scheduleRuns: 'millrace_schedule_runs_total',
  queueJobs: 'millrace_queue_jobs',
  queueOldestAgeSeconds: 'millrace_queue_oldest_age_seconds',
  redisMemoryBytes: 'millrace_redis_memory_bytes',
  redisMemoryMaxBytes: 'millrace_redis_memory_max_bytes',
} as const

export type Metrics = ReturnType<typeof createMetrics>

/** Creates the metrics of one process. `pool` labels are the names of workers/registry.ts. */
export function createMetrics() {
  const registry = new Registry()
  const registers = [registry]
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter<L>({ name, help, labelNames: [...labelNames], registers })
  const gauge = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Gauge<L>({ name, help, labelNames: [...labelNames], registers })
  const histogram = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Histogram<L>({ name, help, labelNames: [...labelNames], buckets: SECONDS, registers })
  const N = METRIC_NAMES
  return {
    registry,
    jobs: counter(N.jobs, 'Jobs by pool and outcome (done, retry, later, dead)', ['pool', 'outcome']),
    jobSeconds: histogram(N.jobSeconds, 'Time in the handler', ['pool']),
    jobWaitSeconds: histogram(N.jobWaitSeconds, 'Time from enqueue to start', ['pool']),
    events: counter(N.events, 'Events by stage and verdict', ['stage', 'verdict']),
    requests: counter(N.requests, 'HTTP requests by route and status class', ['route', 'status']),
    requestSeconds: histogram(N.requestSeconds, 'HTTP request duration', ['route']),
    shed: counter(N.shed, 'Requests refused for load, by reason', ['reason']),
    stalled: counter(N.stalled, 'Jobs taken from a dead or blocked worker', ['pool']),
    membershipSeconds: histogram(
      N.membershipSeconds,
      'From receipt of an event to its membership',
      [] as const,
    ),
    persistedSeconds: histogram(N.persistedSeconds, 'From receipt of an event to its row', [] as const),
    membershipChanges: counter(N.membershipChanges, 'Entries and exits by reason', ['op', 'reason']),
    deliveries: counter(N.deliveries, 'Messages by channel and outcome', ['channel', 'outcome']),
    scheduleRuns: counter(N.scheduleRuns, 'Clock tasks by task and outcome', ['task', 'outcome']),
    queueJobs: gauge(N.queueJobs, 'Jobs by queue and state', ['queue', 'state']),
    queueOldestAgeSeconds: gauge(N.queueOldestAgeSeconds, 'Age of the oldest waiting job', ['queue']),
    redisMemoryBytes: gauge(N.redisMemoryBytes, 'Redis used memory', [] as const),
    redisMemoryMaxBytes: gauge(N.redisMemoryMaxBytes, 'Redis maxmemory', [] as const),
  }
}
