// Every Prometheus metric of Millrace in one table. A process makes those of its own work on a registry that is passed on;
// what is true of the whole deployment is served by the one exporter alone (dashboard/exporter.ts), so that sums stay
// true. docs/METRICS.md is made of this table, and tests compare rules and dashboards (k8s/observability/) with it.
import { counter, createInstruments, gauge, histogram } from './instruments.ts'

const POOLS = 'pools that take jobs'
const EVERY = 'every process'
const HTTP = 'collector, api'

/** [name, unit, who serves it, what it is], labels. Names are stable: a change is a new metric. */
export const PROCESS_METRICS = {
  jobs: counter(
    ['millrace_jobs_total', 'jobs', POOLS, 'Attempts by outcome: done, retry, later (handed back), dead'],
    'pool',
    'outcome',
  ),
  jobSeconds: histogram(['millrace_job_duration_seconds', 'seconds', POOLS, 'Time in the handler'], 'pool'),
  jobWaitSeconds: histogram(
    ['millrace_job_wait_seconds', 'seconds', POOLS, 'Time from enqueue to start'],
    'pool',
  ),
  stalled: counter(
    ['millrace_jobs_stalled_total', 'jobs', POOLS, 'Jobs taken from a dead or blocked worker'],
    'pool',
  ),
  lockFailures: counter(
    ['millrace_lock_renewal_failures_total', 'jobs', POOLS, 'Jobs whose lock could not be renewed in time'],
    'pool',
  ),
  events: counter(
    [
      'millrace_events_total',
      'events',
      'collector, ingest, persist, archive',
      'What became of events: accepted, refused; normalised, failed; kept, duplicate, conflict, failed; archived, failed',
    ],
    'stage',
    'verdict',
  ),
  requests: counter(
    ['millrace_http_requests_total', 'requests', HTTP, 'HTTP requests by route and status class (2xx …)'],
    'service',
    'route',
    'status',
  ),
  requestSeconds: histogram(
    ['millrace_http_request_duration_seconds', 'seconds', HTTP, 'Time to answer, whatever the answer'],
    'service',
    'route',
  ),
  acceptSeconds: histogram([
    'millrace_accept_duration_seconds',
    'seconds',
    'collector',
    'Time to a 200 on a write route: the events are on disk',
  ]),
  shed: counter(
    [
      'millrace_shed_total',
      'requests',
      'collector',
      'Requests refused for load; the state of the door is soft (429) or hard (503)',
    ],
    'reason',
    'state',
  ),
  persistedSeconds: histogram([
    'millrace_event_to_persisted_seconds',
    'seconds',
    'persist',
    'From receipt of an event to its committed row; the first of a group and every 16th after it',
  ]),
  membershipSeconds: histogram([
    'millrace_event_to_membership_seconds',
    'seconds',
    'segment',
    'From receipt to the committed pass over who was touched; one a job, by its oldest event',
  ]),
  membershipChanges: counter(
    ['millrace_membership_changes_total', 'changes', 'segment', 'Entries and exits by reason'],
    'op',
    'reason',
  ),
  feedListeners: gauge(
    [
      'millrace_feed_listeners',
      'listeners',
      'api',
      'Open feeds of membership changes, by way: sse, websocket',
    ],
    'transport',
  ),
  feedMessages: counter(
    ['millrace_feed_messages_total', 'messages', 'api', 'Messages taken by feeds: change, counters'],
    'event',
  ),
  feedEnds: counter(
    [
      'millrace_feed_ends_total',
      'feeds',
      'api',
      'Feeds that we ended: stopping, slow, unauthorized (key revoked), unavailable (Postgres away), full',
    ],
    'reason',
  ),
  feedSeconds: histogram([
    'millrace_change_to_feed_seconds',
    'seconds',
    'api',
    'From recording a membership change to its being handed to feeds; the oldest of each look',
  ]),
  membershipReads: counter(
    [
      'millrace_membership_reads_total',
      'reads',
      'api',
      'Reads of who is in which segments, by what Redis said: hit, miss (asked Postgres), away (did not answer)',
    ],
    'result',
  ),
  membershipReadSeconds: histogram([
    'millrace_membership_read_duration_seconds',
    'seconds',
    'api',
    'Time of such a read without HTTP: one person, all segments',
  ]),
  servedMissed: counter(
    [
      'millrace_served_missed_total',
      'writes',
      'segment, persist',
      'Passes and merges that Redis did not take: what it served before is not believed any more',
    ],
    'by',
  ),
  deliveries: counter(
    [
      'millrace_deliveries_total',
      'messages',
      'deliver',
      'Claims by outcome: sent, waiting, failed, skipped, suppressed, unknown, fenced (taken over meanwhile)',
    ],
    'channel',
    'outcome',
  ),
  segmentDrift: counter(
    [
      'millrace_segment_drift_total',
      'memberships',
      'schedule',
      'Memberships that differed from their rule, decided from scratch, and stayed so',
    ],
    'segment',
  ),
  scheduleRuns: counter(
    ['millrace_schedule_runs_total', 'runs', 'schedule', 'Clock tasks by outcome: done, failed'],
    'task',
    'outcome',
  ),
  buildInfo: gauge(
    [
      'millrace_build_info',
      '1',
      EVERY,
      'What runs here: version, Node, and the pools and servers joined by +',
    ],
    'version',
    'node',
    'runs',
  ),
  startSeconds: gauge([
    'process_start_time_seconds',
    'seconds since 1970',
    EVERY,
    'When this process was started',
  ]),
  cpuSeconds: counter(['process_cpu_seconds_total', 'seconds', EVERY, 'User and system CPU time']),
  residentBytes: gauge(['process_resident_memory_bytes', 'bytes', EVERY, 'Memory held now']),
  diskFreeBytes: gauge([
    'millrace_disk_free_bytes',
    'bytes',
    EVERY,
    'Room left where MILLRACE_DATA_DIR is; absent where there is no such folder',
  ]),
  diskSizeBytes: gauge(['millrace_disk_size_bytes', 'bytes', EVERY, 'Size of that file system']),
} as const

const EXPORTER = 'exporter'

export const DEPLOYMENT_METRICS = {
  queueJobs: gauge(
    ['millrace_queue_jobs', 'jobs', EXPORTER, 'Jobs now: waiting, active, delayed, failed'],
    'queue',
    'state',
  ),
  queueOldestAgeSeconds: gauge(
    ['millrace_queue_oldest_age_seconds', 'seconds', EXPORTER, 'Age of the oldest waiting job'],
    'queue',
  ),
  queueBudgetJobs: gauge(
    [
      'millrace_queue_budget_jobs',
      'jobs',
      EXPORTER,
      'Waiting jobs over which the pools above stop filling it',
    ],
    'queue',
  ),
  queueWorkers: gauge(
    [
      'millrace_queue_workers',
      'workers',
      EXPORTER,
      'Connected workers; absent where Redis does not list its clients',
    ],
    'queue',
  ),
  queuePaused: gauge(
    ['millrace_queue_paused', '1 or 0', EXPORTER, 'Whether an operator has paused the queue'],
    'queue',
  ),
  redisUp: gauge(['millrace_redis_up', '1 or 0', EXPORTER, 'Whether Redis answered the last look']),
  redisMemoryBytes: gauge(['millrace_redis_memory_bytes', 'bytes', EXPORTER, 'used_memory of Redis']),
  redisMemoryMaxBytes: gauge(['millrace_redis_memory_max_bytes', 'bytes', EXPORTER, 'maxmemory of Redis']),
  postgresUp: gauge(['millrace_postgres_up', '1 or 0', EXPORTER, 'Whether Postgres answered the last look']),
  postgresConnections: gauge([
    'millrace_postgres_connections',
    'connections',
    EXPORTER,
    'Client connections of the whole server; of several, of the fullest',
  ]),
  postgresConnectionsMax: gauge([
    'millrace_postgres_connections_max',
    'connections',
    EXPORTER,
    'How many that server gives to ordinary users',
  ]),
  postgresDatabaseBytes: gauge([
    'millrace_postgres_database_bytes',
    'bytes',
    EXPORTER,
    'Size of the database on disk, of all servers together',
  ]),
  failedEventsOpen: gauge(
    ['millrace_failed_events_open', 'rows', EXPORTER, 'Dead letters: rows of failed_events not yet resolved'],
    'stage',
    'code',
  ),
  archiveGapsOpen: gauge([
    'millrace_archive_gaps_open',
    'batches',
    EXPORTER,
    'Batches that the archive still has to read back',
  ]),
  partitionWeeksAhead: gauge([
    'millrace_partition_weeks_ahead',
    'weeks',
    EXPORTER,
    'Weeks after this one for which every range has its event partition',
  ]),
  unannouncedAgeSeconds: gauge([
    'millrace_unannounced_change_age_seconds',
    'seconds',
    EXPORTER,
    'Age of the oldest membership change not yet handed to the deliver queues; 0 when there is none',
  ]),
  scheduleLastSuccess: gauge(
    [
      'millrace_schedule_last_success_timestamp_seconds',
      'seconds since 1970',
      EXPORTER,
      'Start of the last run of a clock task that succeeded',
    ],
    'task',
  ),
} as const

export type Metrics = ReturnType<typeof createMetrics>
export type DeploymentMetrics = ReturnType<typeof createDeploymentMetrics>

/** Creates the metrics of one process. `pool` labels are the names of workers/registry.ts. */
export function createMetrics() {
  return createInstruments(PROCESS_METRICS)
}

/** Creates those that only the exporter serves. */
export function createDeploymentMetrics() {
  return createInstruments(DEPLOYMENT_METRICS)
}
