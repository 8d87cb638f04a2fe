// The one table of errors: code -> HTTP status, title and how to mend it. Everything that is thrown on purpose in
// Millrace is a MillraceError made by `fail(code, detail)`; workers add the two closed outcomes PermanentError and
// RetryLater. Nothing here does I/O. Detail texts must never carry personal data or secrets.

export const ERRORS = {
  // the write edge
  malformed_json: { status: 400, title: 'The body is not valid JSON' },
  malformed_csv: { status: 400, title: 'The body is not valid CSV with user ids' },
  invalid_event: { status: 400, title: 'The event does not have the expected shape' },
  all_events_invalid: { status: 400, title: 'No event of the request could be accepted' },
  invalid_request: { status: 400, title: 'The request does not have the expected shape' },
  unauthorized: { status: 401, title: 'The key is missing, unknown or revoked' },
  forbidden: { status: 403, title: 'The key may not do this' },
  not_found: { status: 404, title: 'There is no such thing' },
  method_not_allowed: { status: 405, title: 'This path does not take this method' },
  request_timeout: { status: 408, title: 'The request took too long to arrive' },
  conflict: { status: 409, title: 'The request conflicts with what is stored' },
  payload_too_large: { status: 413, title: 'The body is larger than the limit' },
  unsupported_media: { status: 415, title: 'The content type or encoding is not supported' },
  idempotency_mismatch: { status: 422, title: 'The Idempotency-Key was used with another body' },
  invalid_rule: { status: 422, title: 'The segment rule is not valid' },
  unsupported: {
    status: 422,
    title: 'The segment rule has something that this way of evaluating does not know',
  },
  rate_limited: { status: 429, title: 'This key sends faster than its limit' },
  overloaded: { status: 429, title: 'The pipeline is behind; send again later' },
  internal: { status: 500, title: 'Something went wrong on our side' },
  unavailable: { status: 503, title: 'A store is not reachable; send again later' },
  too_many_listeners: {
    status: 503,
    title: 'This process serves as many feeds as it may; connect again later',
  },
  // configuration and start-up
  invalid_config: { status: 500, title: 'The configuration is not valid' },
  unsafe_redis: { status: 500, title: 'Redis is set up so that it may lose or evict events' },
  schema_mismatch: { status: 500, title: 'The database schema and this version do not fit' },
  shard_mismatch: { status: 500, title: 'The stored shard map and the configured shard count differ' },
  port_taken: { status: 500, title: 'A port is already in use' },
  missing_program: { status: 500, title: 'A program that is needed is not installed' },
  // the pipeline
  payload_mismatch: { status: 500, title: 'A job does not have the shape of its queue' },
  job_timeout: { status: 500, title: 'A job ran longer than its time limit' },
  job_stalled: { status: 500, title: 'A job stalled or killed its process too often' },
  message_conflict: { status: 409, title: 'The message id was used before with another payload' },
  event_out_of_range: { status: 400, title: 'The event time is outside what its source accepts' },
  row_rejected: { status: 400, title: 'Postgres refused the row' },
  // delivery
  provider_rejected: { status: 502, title: 'The provider refused the message for good' },
  provider_unavailable: { status: 502, title: 'The provider could not take the message now' },
  outcome_unknown: { status: 502, title: 'It is not known whether the provider took the message' },
} as const

export type ErrorCode = keyof typeof ERRORS

/** What a caller can read of an error: its code, where it is (`field`) and why (`detail`). */
export class MillraceError extends Error {
  readonly code: ErrorCode
  readonly detail: string
  readonly field: string | undefined
  /** Seconds after which it makes sense to try again; becomes `Retry-After`. */
  readonly retryAfterS: number | undefined
  constructor(
    code: ErrorCode,
    detail: string,
    options: { field?: string; retryAfterS?: number; cause?: unknown } = {},
  ) {
    super(`${code}: ${detail}`, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'MillraceError'
    this.code = code
    this.detail = detail
    this.field = options.field
    this.retryAfterS = options.retryAfterS
  }
}

/** Makes (does not throw) the error of a code; `detail` names the field, the reason and the mend. */
export function fail(
  code: ErrorCode,
  detail: string,
  options: { field?: string; retryAfterS?: number; cause?: unknown } = {},
): MillraceError {
  return new MillraceError(code, detail, options)
}

/** A worker outcome: this job can never succeed; it is dead-lettered now, without spending its attempts. */
export class PermanentError extends MillraceError {
  override readonly name = 'PermanentError'
}

/** A worker outcome: not now; the job comes back after `delayMs` and no attempt is spent. */
export class RetryLater extends Error {
  override readonly name = 'RetryLater'
  readonly delayMs: number
  constructor(delayMs: number, why: string) {
    super(why)
    this.delayMs = delayMs
  }
}

/** The SQLSTATE or Node error code of an unknown error, or ''. */
export function errorCodeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return ''
  return typeof error.code === 'string' ? error.code : ''
}

const INFRASTRUCTURE_SQLSTATE = /^(08|53|57P|40001|40P01|25006|55P03|58)/
const INFRASTRUCTURE_NODE =
  /^(ECONN|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_|EHOST|ENET|CONNECTION_|CONNECT_TIMEOUT|NR_CLOSED|UND_ERR_CONNECT)/
const INFRASTRUCTURE_REDIS =
  /^(LOADING|MASTERDOWN|READONLY|OOM|MISCONF|CLUSTERDOWN|TRYAGAIN|NOREPLICAS)|Connection is closed|Stream isn't writeable|Command timed out|MaxRetriesPerRequest|Cluster isn't ready|slots cache|startup nodes|Cluster redirections|sentinels are unreachable/

/**
 * True for failures of a store or the network rather than of the data: they spend no attempts, however long they
 * last (law 6). Deadlocks, serialisation failures and lock timeouts count: trying again is their cure.
 */
export function isInfrastructureError(error: unknown): boolean {
  const code = errorCodeOf(error)
  if (INFRASTRUCTURE_SQLSTATE.test(code) || INFRASTRUCTURE_NODE.test(code)) return true
  if (!(error instanceof Error)) return false
  if (error.name === 'MaxRetriesPerRequestError') return true
  if (INFRASTRUCTURE_REDIS.test(error.message)) return true
  return error.cause !== undefined && isInfrastructureError(error.cause)
}

/** One line for a log or a dead letter: code and reason of our own errors, only the kind of foreign ones. */
export function describeError(error: unknown): string {
  if (error instanceof MillraceError) return error.message
  if (error instanceof RetryLater) return error.message
  const code = errorCodeOf(error)
  if (error instanceof Error) {
    // Postgres puts row values into `detail`, never into `message` of class 08/53/57; others may quote input.
    if (/^[0-9A-Z]{5}$/.test(code)) return `postgres ${code}`
    return code === '' ? `${error.name}: ${error.message.slice(0, 200)}` : `${error.name} ${code}`
  }
  return 'unknown error'
}
