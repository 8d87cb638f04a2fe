// The HTTP server that collector, API, dashboard and worker probes are mounted on: strict limits, problem replies
// (RFC 9457) from the table of errors, no stack traces, no bodies in logs.
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { ERRORS, type ErrorCode, fail, isInfrastructureError, MillraceError } from './errors.ts'
import type { Log } from './log.ts'

export type HttpServer = FastifyInstance

/** Builds a server that is not listening yet, so that tests can `inject`. */
export function createHttpServer(options: {
  log: Log
  bodyLimitBytes: number
  trustProxy?: boolean
  /** The one path that may become a WebSocket. */
  socketPath?: string
}): HttpServer {
  const app = Fastify({
    bodyLimit: options.bodyLimitBytes,
    trustProxy: options.trustProxy ?? false,
    logController: new Fastify.LogController({ disableRequestLogging: true }),
    connectionTimeout: 0,
    keepAliveTimeout: 65_000,
    requestTimeout: 30_000,
    http: {
      headersTimeout: 15_000,
      maxHeaderSize: 16_384,
      // Any other wish to upgrade is passed over, as without WebSockets: Java's client wishes for h2c with each first request.
      shouldUpgradeCallback: ({ method, url, headers }) =>
        method === 'GET' &&
        headers.upgrade?.toLowerCase() === 'websocket' &&
        url?.split('?')[0] === options.socketPath,
    },
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 512 },
    return503OnClosing: true,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
  })
  letGoWhenClosing(app)
  app.setErrorHandler((error, _request, reply) => {
    const problem = toMillraceError(error)
    if (problem.code === 'internal') options.log.error({ reason: kindOf(error) }, 'request failed')
    return sendProblem(reply, problem)
  })
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      reply,
      fail('not_found', `no route ${request.method} ${request.url.split('?')[0]?.slice(0, 200)}`),
    ),
  )
  return app
}

const LOOK_EVERY_MS = 100
/** While closing, a connection that is silent for so long has no request under way. */
const SILENT_MS = 500

/**
 * A server that closes waits for its connections, and Fastify lets go of those that are idle just then. Left are those
 * whose last answer comes later, and those on which no request ever came, as browsers and load balancers open them: each
 * of them would hold a stop for a minute.
 */
function letGoWhenClosing(app: FastifyInstance): void {
  const server: Server = app.server
  const silentSince = new Map<Socket, number>()
  server.on('connection', (socket) => {
    silentSince.set(socket, performance.now())
    socket.once('close', () => silentSince.delete(socket))
  })
  server.on('request', (request) => silentSince.delete(request.socket))
  app.addHook('preClose', (done) => {
    const timer = setInterval(() => {
      server.closeIdleConnections()
      for (const [socket, since] of silentSince) if (performance.now() - since > SILENT_MS) socket.destroy()
    }, LOOK_EVERY_MS)
    server.once('close', () => clearInterval(timer))
    timer.unref()
    done()
  })
}

/** Answers with an RFC 9457 problem; `extra` members (e.g. per-event `errors`) are added to it. */
export function sendProblem(
  reply: FastifyReply,
  problem: MillraceError,
  extra: Record<string, unknown> = {},
): FastifyReply {
  const row = ERRORS[problem.code]
  if (problem.retryAfterS !== undefined) reply.header('retry-after', String(problem.retryAfterS))
  return reply
    .code(row.status)
    .type('application/problem+json')
    .send({
      type: `urn:millrace:error:${problem.code}`,
      title: row.title,
      status: row.status,
      code: problem.code,
      detail: problem.detail,
      ...(problem.field === undefined ? {} : { field: problem.field }),
      ...extra,
    })
}

const FASTIFY_CODES: Record<string, ErrorCode> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'malformed_json',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'malformed_json',
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalid_request',
  FST_ERR_VALIDATION: 'invalid_request',
  FST_ERR_BAD_URL: 'invalid_request',
}

/** Maps whatever was thrown to one of our codes; foreign texts never reach the caller, except schema checks. */
export function toMillraceError(error: unknown): MillraceError {
  if (error instanceof MillraceError) return error
  if (isInfrastructureError(error))
    return fail('unavailable', 'a store is not reachable', { retryAfterS: 2, cause: error })
  if (typeof error === 'object' && error !== null) {
    const code = 'code' in error && typeof error.code === 'string' ? FASTIFY_CODES[error.code] : undefined
    if (code !== undefined) {
      const detail = error instanceof Error ? error.message : ERRORS[code].title
      return fail(code, detail, { cause: error })
    }
    if (
      'statusCode' in error &&
      typeof error.statusCode === 'number' &&
      error.statusCode >= 400 &&
      error.statusCode < 500
    ) {
      return fail('invalid_request', error instanceof Error ? error.message : 'bad request', { cause: error })
    }
  }
  return fail('internal', 'an unexpected error; it was logged', { cause: error })
}

function kindOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.stack?.split('\n')[1]?.trim() ?? ''}` : 'unknown'
}
