// Bull Board on every queue, without personal data, with each change judged by role and written to the audit log. Reads
// only what a page asks for; polls every 15 s; never CLIENT LIST, never another host.
import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { FastifyAdapter } from '@bull-board/fastify'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { decodePayload } from '../queues/codec.ts'
import type { RedisClient } from '../queues/connection.ts'
import { contractOf } from '../queues/control.ts'
import { allQueueNames } from '../queues/pipeline.ts'
import { openQueue } from '../queues/sender.ts'
import type { Config } from '../runtime/config.ts'
import { fail } from '../runtime/errors.ts'
import { type HttpServer, sendProblem } from '../runtime/http.ts'
import { recordAudit } from '../store/audit.ts'
import type { Sql } from '../store/sql.ts'
import type { Guard } from './guard.ts'
import { judgeChange } from './permissions.ts'
import { summariseJobData } from './summarise.ts'

export const BOARD_PATH = '/admin/queues'

type Deps = { config: Config; sql: Sql; redis: RedisClient; guard: Guard }

/** Mounts the board; the returned function closes its queue objects (the connection stays the caller's). */
export async function mountBoard(app: HttpServer, deps: Deps): Promise<() => Promise<void>> {
  const { config, redis } = deps
  const queues = allQueueNames(config.shards).map((name) => openQueue(redis, config.namespace, name, true))
  const adapter = new FastifyAdapter()
  adapter.setBasePath(BOARD_PATH)
  createBullBoard({
    queues: queues.map((queue) =>
      withoutPersons(
        new BullMQAdapter(queue, { description: dutyOf(queue.name, config.shards) }),
        config.secret,
      ),
    ),
    serverAdapter: adapter,
    options: {
      uiConfig: {
        boardTitle: 'Millrace',
        boardLogo: { path: '/assets/icon.svg', width: 28, height: 28 },
        favIcon: { default: '/assets/icon.svg', alternative: '/assets/icon.svg' },
        miscLinks: [
          { text: 'Find a job', url: '/search' },
          { text: 'Sign out', url: '/logout' },
        ],
        hideDocsLink: true,
        hideRedisDetails: true,
        showWorkers: false,
        showMetrics: false,
        // Seconds, whatever the recipes say.
        pollingInterval: { showSetting: false, forceInterval: 15 },
      },
    },
  })
  // Its own context: Bull Board installs an error handler, static files and views.
  await app.register(async (board) => {
    board.addHook('preHandler', (request, reply) => judge(request, reply, deps.guard))
    board.addHook('preSerialization', async (request, _reply, body) =>
      asSeenBy(deps.guard.personOf(request)?.role, body),
    )
    board.addHook('onSend', async (_request, reply, body) => withoutForeignHosts(reply, body))
    board.addHook('onResponse', (request, reply) => audit(request, reply, deps))
    await board.register(adapter.registerPlugin(), { prefix: BOARD_PATH })
  })
  return async () => {
    await Promise.allSettled(queues.map((queue) => queue.close()))
  }
}

function withoutPersons(adapter: BullMQAdapter, secret: string): BullMQAdapter {
  adapter.setFormatter('data', (data: unknown) => summariseJobData(decodePayload(data), secret))
  adapter.setFormatter('returnValue', () => undefined)
  adapter.setFormatter('progress', () => 0)
  return adapter
}

const DUTIES: Record<string, string> = {
  ingest: 'requests as the collector accepted them',
  persist: 'events on their way into Postgres',
  archive: 'events on their way to Pub/Sub, BigQuery or files',
  segment: 'profiles of one shard that were touched',
  deliver: 'messages of one channel, one a job',
  schedule: 'clock tasks',
}

function dutyOf(name: string, shards: number): string {
  return DUTIES[contractOf(name, shards)?.name ?? ''] ?? ''
}

/** Bull Board's own pattern of a route, and the parameters it was called with. */
function routeOf(request: FastifyRequest): { pattern: string; params: Record<string, unknown> } {
  const params = typeof request.params === 'object' && request.params !== null ? { ...request.params } : {}
  return { pattern: (request.routeOptions.url ?? '').slice(BOARD_PATH.length), params }
}

async function judge(
  request: FastifyRequest,
  reply: FastifyReply,
  guard: Guard,
): Promise<FastifyReply | undefined> {
  const { pattern, params } = routeOf(request)
  const role = guard.personOf(request)?.role ?? 'viewer'
  const status = typeof params.queueStatus === 'string' ? params.queueStatus : undefined
  const verdict = judgeChange(role, request.method, pattern, status)
  if (verdict.allowed) return undefined
  // `error` and `message` are what the board's pages show.
  return sendProblem(reply, fail('method_not_allowed', verdict.why), {
    error: { key: 'ERRORS.FORBIDDEN' },
    message: verdict.why,
  })
}

/** A viewer sees the board without its buttons. */
function asSeenBy(role: string | undefined, body: unknown): unknown {
  if (role !== 'viewer' || typeof body !== 'object' || body === null || !('queues' in body)) return body
  const { queues } = body
  if (!Array.isArray(queues)) return body
  const readOnly = { readOnlyMode: true, allowRetries: false, allowCompletedRetries: false }
  return { ...body, queues: queues.map((queue: object) => ({ ...queue, ...readOnly })) }
}

/** The board's page asks a font host for its letters; ours come from the system. */
function withoutForeignHosts(reply: FastifyReply, body: unknown): unknown {
  if (typeof body !== 'string' || !String(reply.getHeader('content-type')).includes('text/html')) return body
  return body.replace(/<link[^>]+href="https?:[^>]*>/g, '')
}

async function audit(request: FastifyRequest, reply: FastifyReply, deps: Deps): Promise<void> {
  const person = deps.guard.personOf(request)
  if (request.method === 'GET' || reply.statusCode >= 400 || person === undefined) return
  const { pattern, params } = routeOf(request)
  await recordAudit(deps.sql, {
    actor: `user:${person.name}`,
    action: `board ${request.method} ${pattern}`,
    target: [params.queueName, params.jobId ?? params.queueStatus ?? params.schedulerId]
      .filter(Boolean)
      .join('/'),
  })
}
