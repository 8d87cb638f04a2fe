// Configuration keys of what leaves: messages to people, events to the archive. Read by runtime/config.ts only.
import type { Entry } from './entry.ts'

export const OUTLET_KEYS = {
  // the feed of membership changes
  feedListeners: {
    env: 'MILLRACE_FEED_LISTENERS',
    kind: 'int',
    default: '100',
    min: 1,
    max: 10000,
    why: 'feeds of membership changes that one API process serves; a further one is told to come again (503)',
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
  // traces
  tracesPerMillion: {
    env: 'MILLRACE_TRACES_PER_MILLION',
    kind: 'int',
    default: '0',
    min: 0,
    max: 1_000_000,
    why: 'requests of a million that are followed through the pools by OpenTelemetry; 0 = none, and nothing of it is loaded',
  },
  otlpEndpoint: {
    env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    kind: 'url',
    default: 'http://127.0.0.1:4318',
    why: 'where traces go: OTLP over HTTP',
  },
} as const satisfies Record<string, Entry>
