// The write edge, mounted on a server that may carry other routes too: builds what the routes share, answers browsers
// of any origin, counts every reply. Called by cli/ and tests. Everything is encapsulated: nothing here is global to the
// server.
import { randomBytes } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Cache } from '../cache/connect.ts'
import type { DepthSampler } from '../queues/depth.ts'
import type { ingest } from '../queues/pipeline.ts'
import type { Send } from '../queues/sender.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Config } from '../runtime/config.ts'
import type { HttpServer } from '../runtime/http.ts'
import { beginAtZero } from '../runtime/instruments.ts'
import type { Service } from '../runtime/lifecycle.ts'
import type { Log } from '../runtime/log.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { findKey, touchKeys } from '../store/keys.ts'
import type { Sql } from '../store/sql.ts'
import { openAcceptor } from './accept.ts'
import { openRateLimiter } from './credential.ts'
import { debuggerRoutes } from './debugger.ts'
import { openFeedRecorder } from './feed.ts'
import { GATE_REASONS, openGate } from './gate.ts'
import { openKeyCache } from './key-cache.ts'
import type { Receiver } from './receive.ts'
import { settingsRoute } from './settings.ts'
import { writeRoutes } from './write-routes.ts'

export type CollectorDeps = {
  sql: Sql
  cache: Cache
  config: Config
  clock: Clock
  log: Log
  metrics: Metrics
  send: Send<typeof ingest>
  /** Follows a sample of the requests; absent = none. */
  span?: Receiver['span']
  depth: DepthSampler
}

/** Mounts all routes of the collector. Stop the returned service after the server has answered its last request. */
export async function mountCollector(app: HttpServer, deps: CollectorDeps): Promise<Service> {
  const { config, log, sql } = deps
  const keys = openKeyCache({
    findKey: (keyHash) => findKey(sql, keyHash),
    touchKeys: (keyIds, usedAt) => touchKeys(sql, keyIds, usedAt),
    log,
  })
  beginAtZero(deps.metrics.events, { stage: ['collector'], verdict: ['accepted', 'refused'] })
  beginAtZero(deps.metrics.shed, { reason: GATE_REASONS, state: ['soft', 'hard'] })
  const receiver: Receiver = {
    span: deps.span,
    keys,
    gate: openGate({
      current: deps.depth.current,
      marks: config,
      random: Math.random,
      onChange: (state, reason) => log.warn({ state, reason }, 'the door of the collector changed'),
    }),
    rates: openRateLimiter(() => performance.now()),
    acceptor: openAcceptor({
      send: deps.send,
      idPrefix: randomBytes(9).toString('base64url'),
      flushMs: config.acceptFlushMs,
      deadlineMs: config.acceptDeadlineMs,
      maxPendingBytes: config.acceptMaxPendingBytes,
    }),
    feed: openFeedRecorder(deps.cache, deps.clock),
    config,
    clock: deps.clock,
    metrics: deps.metrics,
  }
  await app.register(async (edge) => {
    answerBrowsers(edge)
    countReplies(edge, deps.metrics)
    await edge.register(async (scope) => writeRoutes(scope, receiver))
    await edge.register(async (scope) => settingsRoute(scope, keys, config.publicUrl))
  })
  const viewers = await debuggerRoutes(app, { ...deps, keys })
  return {
    name: 'collector',
    quiet: () => viewers.close(),
    async stop() {
      viewers.close()
      receiver.gate.stop()
      await receiver.acceptor.close()
      await Promise.all([receiver.feed.close(), keys.close()])
    },
  }
}

/** Any site may send, as a write key is no secret; a key's own list of origins is checked when it is used. */
function answerBrowsers(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    if (request.headers.origin !== undefined) {
      reply.header('access-control-allow-origin', '*')
      reply.header('access-control-expose-headers', 'Retry-After')
    }
    if (request.method === 'OPTIONS') {
      reply.header('access-control-allow-origin', '*')
      reply.header('access-control-allow-methods', 'GET, POST, OPTIONS')
      reply.header(
        'access-control-allow-headers',
        '*, Authorization, Content-Type, Content-Encoding, X-Retry-Count',
      )
      reply.header('access-control-max-age', '7200')
    }
    done()
  })
}

function countReplies(app: FastifyInstance, metrics: Metrics): void {
  const children = new Map<string, { count: { inc(): void }; seconds: { observe(value: number): void } }>()
  // Looked up once: by name each observation costs a microsecond more.
  const accepted = metrics.acceptSeconds.labels()
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'unknown'
    const status = `${Math.floor(reply.statusCode / 100)}xx`
    const name = `${status} ${route}`
    let child = children.get(name)
    if (child === undefined) {
      child = {
        count: metrics.requests.labels({ service: 'collector', route, status }),
        seconds: metrics.requestSeconds.labels({ service: 'collector', route }),
      }
      children.set(name, child)
    }
    const seconds = reply.elapsedTime / 1000
    child.count.inc()
    child.seconds.observe(seconds)
    if (reply.statusCode === 200 && request.method === 'POST') accepted.observe(seconds)
    done()
  })
}
