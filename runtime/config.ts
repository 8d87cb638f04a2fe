// The one configuration: every key with its environment name, unit, default and one line why. `readConfig` is called
// once by cli/ and by tests and the result is passed on as an argument; nothing else reads the environment.
// All mistakes are reported together, each with the name, the reason and the mend.
import { fail } from './errors.ts'

type Kind = 'string' | 'int' | 'bool' | 'list' | 'url'
type Entry = {
  env: string
  kind: Kind
  default: string
  min?: number
  max?: number
  /** Never printed. */
  secret?: boolean
  why: string
}

export const CONFIG_TABLE = {
  // where things are
  databaseUrl: {
    env: 'DATABASE_URL',
    kind: 'url',
    default: '',
    secret: true,
    why: 'Postgres 16 or newer; empty = an embedded server',
  },
  redisUrl: {
    env: 'REDIS_URL',
    kind: 'url',
    default: '',
    secret: true,
    why: 'Redis 7 or Valkey with AOF always and noeviction; empty = a local server',
  },
  dataDir: {
    env: 'MILLRACE_DATA_DIR',
    kind: 'string',
    default: '.data',
    why: 'the one folder for local servers, archive files and the outbox',
  },
  namespace: {
    env: 'MILLRACE_NAMESPACE',
    kind: 'string',
    default: 'millrace',
    why: 'Postgres schema and Redis prefix of this deployment',
  },
  host: {
    env: 'MILLRACE_HOST',
    kind: 'string',
    default: '127.0.0.1',
    why: 'address to listen on; loopback unless said otherwise',
  },
  httpPort: {
    env: 'MILLRACE_HTTP_PORT',
    kind: 'int',
    default: '8080',
    min: 0,
    max: 65535,
    why: 'collector and API',
  },
  dashboardPort: {
    env: 'MILLRACE_DASHBOARD_PORT',
    kind: 'int',
    default: '8082',
    min: 0,
    max: 65535,
    why: 'Bull Board',
  },
  metricsPort: {
    env: 'MILLRACE_METRICS_PORT',
    kind: 'int',
    default: '0',
    min: 0,
    max: 65535,
    why: '/metrics, /healthz, /readyz of a worker process; 0 = any free port',
  },
  exporterPort: {
    env: 'MILLRACE_EXPORTER_PORT',
    kind: 'int',
    default: '8083',
    min: 0,
    max: 65535,
    why: '/metrics of the queues',
  },
  outboxPort: {
    env: 'MILLRACE_OUTBOX_PORT',
    kind: 'int',
    default: '8084',
    min: 0,
    max: 65535,
    why: 'local page of sent mails, pushes and webhooks',
  },
  localPostgresPort: {
    env: 'MILLRACE_LOCAL_POSTGRES_PORT',
    kind: 'int',
    default: '8432',
    min: 0,
    max: 65535,
    why: 'embedded Postgres',
  },
  localRedisPort: {
    env: 'MILLRACE_LOCAL_REDIS_PORT',
    kind: 'int',
    default: '8379',
    min: 0,
    max: 65535,
    why: 'local Redis',
  },
  localRedisMaxmemoryMb: {
    env: 'MILLRACE_LOCAL_REDIS_MAXMEMORY_MB',
    kind: 'int',
    default: '1024',
    min: 64,
    max: 1048576,
    why: 'maxmemory of the local Redis',
  },
  publicUrl: {
    env: 'MILLRACE_PUBLIC_URL',
    kind: 'string',
    default: '',
    why: 'how the outside reaches collector and API (links in mails); empty = http://host:httpPort',
  },
  logLevel: {
    env: 'LOG_LEVEL',
    kind: 'string',
    default: 'info',
    why: 'trace, debug, info, warn, error or silent',
  },
  secret: {
    env: 'MILLRACE_SECRET',
    kind: 'string',
    default: '',
    secret: true,
    why: 'signs unsubscribe links and dashboard sessions; empty = made once and kept in the data folder',
  },
  adminPassword: {
    env: 'MILLRACE_ADMIN_PASSWORD',
    kind: 'string',
    default: '',
    secret: true,
    why: 'first dashboard password; empty = generated and printed once',
  },

  // shape of the pipeline
  shards: {
    env: 'MILLRACE_SHARDS',
    kind: 'int',
    default: '16',
    min: 1,
    max: 1024,
    why: 'segment queues; each is a range of buckets, stored and checked at every start',
  },
  redisUnsafeOk: {
    env: 'MILLRACE_REDIS_UNSAFE_OK',
    kind: 'bool',
    default: 'false',
    why: 'start on a Redis that may lose or evict events',
  },
  redisWaitReplicas: {
    env: 'MILLRACE_REDIS_WAIT_REPLICAS',
    kind: 'int',
    default: '0',
    min: 0,
    max: 5,
    why: 'replicas that must hold an event before it is accepted (WAIT)',
  },
  lockMs: {
    env: 'MILLRACE_LOCK_MS',
    kind: 'int',
    default: '30000',
    min: 500,
    max: 600000,
    why: 'how long a job stays with a silent worker',
  },
  stalledCheckMs: {
    env: 'MILLRACE_STALLED_CHECK_MS',
    kind: 'int',
    default: '15000',
    min: 200,
    max: 600000,
    why: 'how often jobs of dead workers are looked for',
  },
  maxStalls: {
    env: 'MILLRACE_MAX_STALLS',
    kind: 'int',
    default: '5',
    min: 1,
    max: 100,
    why: 'stalls after which a job is set aside',
  },
  stopDeadlineMs: {
    env: 'MILLRACE_STOP_DEADLINE_MS',
    kind: 'int',
    default: '20000',
    min: 500,
    max: 600000,
    why: 'time to finish or hand back on SIGTERM; below the grace period',
  },
  postgresPoolSize: {
    env: 'MILLRACE_POSTGRES_POOL_SIZE',
    kind: 'int',
    default: '6',
    min: 1,
    max: 200,
    why: 'connections a process',
  },
  scheduleTickMs: {
    env: 'MILLRACE_SCHEDULE_TICK_MS',
    kind: 'int',
    default: '1000',
    min: 50,
    max: 600000,
    why: 'how often due segment timers are looked for',
  },
  sweepMs: {
    env: 'MILLRACE_SWEEP_MS',
    kind: 'int',
    default: '30000',
    min: 100,
    max: 3600000,
    why: 'how often what was committed but not handed on is looked for',
  },

  // the write edge
  maxEventBytes: {
    env: 'MILLRACE_MAX_EVENT_BYTES',
    kind: 'int',
    default: '32768',
    min: 1024,
    max: 1048576,
    why: 'Segment limit: 32 KB an event',
  },
  maxRequestBytes: {
    env: 'MILLRACE_MAX_REQUEST_BYTES',
    kind: 'int',
    default: '512000',
    min: 1024,
    max: 16777216,
    why: 'Segment limit: 500 KB a request, after inflating',
  },
  maxRequestEvents: {
    env: 'MILLRACE_MAX_REQUEST_EVENTS',
    kind: 'int',
    default: '2500',
    min: 1,
    max: 100000,
    why: 'Segment limit: 2,500 events a request',
  },
  acceptFlushMs: {
    env: 'MILLRACE_ACCEPT_FLUSH_MS',
    kind: 'int',
    default: '5',
    min: 0,
    max: 1000,
    why: 'how long requests wait for others to share a queue write',
  },
  acceptDeadlineMs: {
    env: 'MILLRACE_ACCEPT_DEADLINE_MS',
    kind: 'int',
    default: '1800',
    min: 50,
    max: 60000,
    why: 'after this a frozen Redis means 503',
  },
  acceptMaxPendingBytes: {
    env: 'MILLRACE_ACCEPT_MAX_PENDING_BYTES',
    kind: 'int',
    default: '67108864',
    min: 1048576,
    max: 4294967295,
    why: 'memory for requests that wait for Redis',
  },
  softDepthJobs: {
    env: 'MILLRACE_SOFT_DEPTH_JOBS',
    kind: 'int',
    default: '4000',
    min: 1,
    max: 10000000,
    why: 'ingest + persist jobs over which the collector answers 429',
  },
  hardDepthJobs: {
    env: 'MILLRACE_HARD_DEPTH_JOBS',
    kind: 'int',
    default: '8000',
    min: 1,
    max: 10000000,
    why: 'ingest + persist jobs over which the collector answers 503',
  },
  softAgeMs: {
    env: 'MILLRACE_SOFT_AGE_MS',
    kind: 'int',
    default: '120000',
    min: 100,
    max: 86400000,
    why: 'oldest waiting job over which the collector answers 429',
  },
  softMemoryPercent: {
    env: 'MILLRACE_SOFT_MEMORY_PERCENT',
    kind: 'int',
    default: '60',
    min: 1,
    max: 95,
    why: 'share of Redis maxmemory over which the collector answers 429',
  },
  hardMemoryPercent: {
    env: 'MILLRACE_HARD_MEMORY_PERCENT',
    kind: 'int',
    default: '70',
    min: 1,
    max: 95,
    why: 'share of Redis maxmemory over which the collector answers 503; workers need the rest to drain',
  },
  trustProxy: {
    env: 'MILLRACE_TRUST_PROXY',
    kind: 'bool',
    default: 'false',
    why: 'believe X-Forwarded-For and geo headers of a proxy',
  },
  geoCountryHeader: {
    env: 'MILLRACE_GEO_COUNTRY_HEADER',
    kind: 'string',
    default: 'cf-ipcountry',
    why: 'header with the country code, read when trustProxy is on',
  },
  geoCityHeader: {
    env: 'MILLRACE_GEO_CITY_HEADER',
    kind: 'string',
    default: 'cf-ipcity',
    why: 'header with the city, read when trustProxy is on',
  },
  keepFullIp: {
    env: 'MILLRACE_KEEP_FULL_IP',
    kind: 'bool',
    default: 'false',
    why: 'keep whole IP addresses instead of truncating them',
  },
  futureToleranceMs: {
    env: 'MILLRACE_FUTURE_TOLERANCE_MS',
    kind: 'int',
    default: '300000',
    min: 0,
    max: 86400000,
    why: 'event times further ahead become the time of receipt',
  },

  // retention
  retentionDays: {
    env: 'MILLRACE_RETENTION_DAYS',
    kind: 'int',
    default: '730',
    min: 1,
    max: 36500,
    why: 'event partitions older than this are dropped',
  },
  partitionsAheadWeeks: {
    env: 'MILLRACE_PARTITIONS_AHEAD_WEEKS',
    kind: 'int',
    default: '2',
    min: 1,
    max: 104,
    why: 'weeks of event partitions made ahead',
  },

  // delivery
  smtpUrl: {
    env: 'SMTP_URL',
    kind: 'url',
    default: '',
    secret: true,
    why: 'smtp(s)://user:password@host:port; empty = the local outbox',
  },
  mailFrom: {
    env: 'MILLRACE_MAIL_FROM',
    kind: 'string',
    default: 'Millrace <hello@millrace.localhost>',
    why: 'From of mails',
  },
  fcmServiceAccount: {
    env: 'FCM_SERVICE_ACCOUNT',
    kind: 'string',
    default: '',
    secret: true,
    why: 'path of a Firebase service account; empty = the local push sink',
  },
  webhookUrl: {
    env: 'MILLRACE_WEBHOOK_URL',
    kind: 'url',
    default: '',
    why: 'https receiver of webhooks; empty = the local receiver',
  },
  webhookSecret: {
    env: 'MILLRACE_WEBHOOK_SECRET',
    kind: 'string',
    default: '',
    secret: true,
    why: 'whsec_… that signs webhooks; empty = made once and kept in the data folder',
  },
  sendAllowList: {
    env: 'MILLRACE_SEND_ALLOW_LIST',
    kind: 'list',
    default: '',
    why: 'recipients that a real provider may be given; * lifts the list',
  },
  deliverLeaseMs: {
    env: 'MILLRACE_DELIVER_LEASE_MS',
    kind: 'int',
    default: '30000',
    min: 500,
    max: 600000,
    why: 'how long a delivery is one worker’s; above the time limit of a send',
  },
  localSmtpPort: {
    env: 'MILLRACE_LOCAL_SMTP_PORT',
    kind: 'int',
    default: '0',
    min: 0,
    max: 65535,
    why: 'local mail sink, used while SMTP_URL is empty; set by start',
  },
  localPushPort: {
    env: 'MILLRACE_LOCAL_PUSH_PORT',
    kind: 'int',
    default: '0',
    min: 0,
    max: 65535,
    why: 'local push sink, used while FCM_SERVICE_ACCOUNT is empty; set by start',
  },
  localPushCa: {
    env: 'MILLRACE_LOCAL_PUSH_CA',
    kind: 'string',
    default: '',
    why: 'certificate authority file of the local push sink; set by start',
  },
  localWebhookUrl: {
    env: 'MILLRACE_LOCAL_WEBHOOK_URL',
    kind: 'url',
    default: '',
    why: 'local webhook receiver, used while MILLRACE_WEBHOOK_URL is empty; set by start',
  },
  deliverAttempts: {
    env: 'MILLRACE_DELIVER_ATTEMPTS',
    kind: 'int',
    default: '8',
    min: 1,
    max: 100,
    why: 'tries of one message before it is dead-lettered',
  },

  // archive
  pubsubProject: {
    env: 'PUBSUB_PROJECT_ID',
    kind: 'string',
    default: '',
    why: 'Google project of the Pub/Sub topic; empty = local files',
  },
  pubsubTopic: {
    env: 'MILLRACE_PUBSUB_TOPIC',
    kind: 'string',
    default: 'millrace-events',
    why: 'topic that every normalised event is published to',
  },
  pubsubEmulatorHost: {
    env: 'PUBSUB_EMULATOR_HOST',
    kind: 'string',
    default: '',
    why: 'host:port of the Pub/Sub emulator, for tests',
  },
  bigqueryProject: {
    env: 'BIGQUERY_PROJECT_ID',
    kind: 'string',
    default: '',
    why: 'Google project of the BigQuery dataset; empty = no load',
  },
  bigqueryDataset: {
    env: 'MILLRACE_BIGQUERY_DATASET',
    kind: 'string',
    default: 'millrace',
    why: 'dataset of events',
  },
  bigqueryLoadMs: {
    env: 'MILLRACE_BIGQUERY_LOAD_MS',
    kind: 'int',
    default: '120000',
    min: 100,
    max: 86400000,
    why: 'how often staged events are loaded; BigQuery allows 1,500 loads a table and day',
  },
  bigqueryEndpoint: {
    env: 'BIGQUERY_EMULATOR_HOST',
    kind: 'string',
    default: '',
    why: 'another BigQuery API endpoint, for tests',
  },
} as const satisfies Record<string, Entry>

type TypeOf<K extends Kind> = K extends 'int'
  ? number
  : K extends 'bool'
    ? boolean
    : K extends 'list'
      ? string[]
      : string
export type Config = {
  readonly [Key in keyof typeof CONFIG_TABLE]: TypeOf<(typeof CONFIG_TABLE)[Key]['kind']>
}

function parse(entry: Entry, text: string): string | number | boolean | string[] | Error {
  switch (entry.kind) {
    case 'int': {
      const value = Number(text)
      if (text.trim() === '' || !Number.isInteger(value)) return new Error('is not a whole number')
      if (entry.min !== undefined && value < entry.min) return new Error(`is below ${entry.min}`)
      if (entry.max !== undefined && value > entry.max) return new Error(`is above ${entry.max}`)
      return value
    }
    case 'bool':
      if (text === 'true' || text === '1') return true
      if (text === 'false' || text === '0' || text === '') return false
      return new Error('is neither true nor false')
    case 'list':
      return text
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '')
    case 'url':
      if (text !== '' && !URL.canParse(text)) return new Error('is not a URL')
      return text
    case 'string':
      return text
  }
}

/** Reads all keys from `env`, then applies `overrides` (already typed). Throws one `invalid_config` naming every mistake. */
export function readConfig(env: Record<string, string | undefined>, overrides: Partial<Config> = {}): Config {
  const values: Record<string, unknown> = {}
  const mistakes: string[] = []
  const entries: [string, Entry][] = Object.entries(CONFIG_TABLE)
  for (const [key, entry] of entries) {
    const text = env[entry.env]
    const value = parse(entry, text ?? entry.default)
    if (value instanceof Error) mistakes.push(`${entry.env} ${value.message}: ${entry.why}`)
    else values[key] = value
  }
  const config = { ...values, ...overrides } as Config
  mistakes.push(...crossChecks(config))
  const known = new Set(entries.map(([, entry]) => entry.env))
  for (const name of Object.keys(env)) {
    if (name.startsWith('MILLRACE_') && !known.has(name))
      mistakes.push(`${name} is not a key of Millrace${suggest(name, known)}`)
  }
  if (mistakes.length > 0) throw fail('invalid_config', mistakes.join('; '))
  return Object.freeze(config)
}

function crossChecks(config: Config): string[] {
  const mistakes: string[] = []
  if (!/^[a-z][a-z0-9_]{0,30}$/.test(config.namespace))
    mistakes.push('MILLRACE_NAMESPACE must be a-z, 0-9 and _, at most 31 long')
  if (config.softDepthJobs > config.hardDepthJobs)
    mistakes.push('MILLRACE_SOFT_DEPTH_JOBS is above MILLRACE_HARD_DEPTH_JOBS')
  if (config.softMemoryPercent > config.hardMemoryPercent)
    mistakes.push('MILLRACE_SOFT_MEMORY_PERCENT is above MILLRACE_HARD_MEMORY_PERCENT')
  if (config.shards > 0 && 1024 % config.shards !== 0) mistakes.push('MILLRACE_SHARDS must divide 1024')
  return mistakes
}

function suggest(name: string, known: Set<string>): string {
  const near = [...known].find((candidate) => candidate.startsWith(name.slice(0, 14)))
  return near === undefined ? '' : `; did you mean ${near}?`
}

/** The configuration as rows for `millrace config print`; secrets are shown only as set or not set. */
export function describeConfig(config: Config): { env: string; value: string; why: string }[] {
  const entries: [string, Entry][] = Object.entries(CONFIG_TABLE)
  const values: Record<string, unknown> = { ...config }
  return entries.map(([key, entry]) => {
    const value = values[key]
    const shown = Array.isArray(value) ? value.join(',') : String(value)
    return {
      env: entry.env,
      value: entry.secret ? (shown === '' ? '(not set)' : '(set)') : shown,
      why: entry.why,
    }
  })
}
