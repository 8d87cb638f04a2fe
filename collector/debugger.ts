// The event debugger: a live tail of each source's verdicts as a page and as a stream. For app developers with a secret
// key. Reads cache/live-feed.ts only; the page itself holds no data and is open.
import { readFile } from 'node:fs/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { Cache } from '../cache/connect.ts'
import { isFeedId, readFeed } from '../cache/live-feed.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { listSources } from '../store/sources.ts'
import type { Sql } from '../store/sql.ts'
import { keyOfHeader } from './credential.ts'
import type { KeyCache } from './key-cache.ts'

type DebuggerDeps = { sql: Sql; cache: Cache; keys: KeyCache }

const POLL_MS = 500
const HEARTBEAT_MS = 15_000
const MAX_VIEWERS = 50
const SHOWN_AT_FIRST = 100

const ASSETS = [
  { url: '/debugger', file: 'page.html', type: 'text/html; charset=utf-8' },
  { url: '/debugger/app.js', file: 'app.js', type: 'text/javascript; charset=utf-8' },
  { url: '/debugger/app.css', file: 'app.css', type: 'text/css; charset=utf-8' },
]
const PAGE_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
}

/** Mounts page and stream; `close` ends the open streams, so that the server can stop. */
export async function debuggerRoutes(app: HttpServer, deps: DebuggerDeps): Promise<{ close(): void }> {
  const viewers = new Set<() => void>()
  const assets = await Promise.all(
    ASSETS.map(async (asset) => ({
      ...asset,
      text: await readFile(new URL(`./debugger/${asset.file}`, import.meta.url), 'utf8'),
    })),
  )
  await app.register(async (scope) => {
    for (const { url, type, text } of assets) {
      scope.get(url, { schema: { hide: true } }, (_request, reply) =>
        reply.headers(PAGE_HEADERS).type(type).send(text),
      )
    }
    scope.get('/debugger/sources', { schema: { hide: true } }, async (request) => {
      await mustBeSecretKey(request, deps.keys)
      const sources = await listSources(deps.sql)
      return { sources: sources.map(({ sourceId, name }) => ({ sourceId, name })) }
    })
    feedRoute(scope, deps, viewers)
  })
  return {
    close() {
      for (const end of viewers) end()
    },
  }
}

function feedRoute(app: FastifyInstance, deps: DebuggerDeps, viewers: Set<() => void>): void {
  app.route<{ Params: { sourceId: string }; Headers: { 'last-event-id'?: string } }>({
    method: 'GET',
    url: '/api/v1/sources/:sourceId/feed',
    schema: {
      tags: ['sources'],
      summary: 'Live verdicts of a source',
      description:
        'Server-sent events; with `Accept: application/json` the newest verdicts once. Ids of people are masked.',
      params: Type.Object({ sourceId: Type.String({ pattern: '^[0-9]{1,5}$', examples: ['1'] }) }),
    },
    async handler(request, reply) {
      await mustBeSecretKey(request, deps.keys)
      const sourceId = Number(request.params.sourceId)
      if (request.headers.accept?.includes('application/json')) {
        return { entries: await readFeed(deps.cache, sourceId, undefined, SHOWN_AT_FIRST) }
      }
      if (viewers.size >= MAX_VIEWERS) throw fail('unavailable', 'too many viewers', { retryAfterS: 30 })
      const after = request.headers['last-event-id']
      // The first look tells a reachable feed from none while a problem can still be answered.
      const seen = after !== undefined && isFeedId(after) ? after : undefined
      const first = await readFeed(deps.cache, sourceId, seen, SHOWN_AT_FIRST)
      followFeed(reply, deps.cache, sourceId, { first, seen }, viewers)
      return reply
    },
  })
}

/** Writes entries as server-sent events until the viewer goes or the server stops. */
function followFeed(
  reply: FastifyReply,
  cache: Cache,
  sourceId: number,
  start: { first: Awaited<ReturnType<typeof readFeed>>; seen: string | undefined },
  viewers: Set<() => void>,
): void {
  reply.hijack()
  const stream = reply.raw
  stream.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  let lastId = start.seen ?? '0-0'
  let wroteAt = Date.now()
  const write = (text: string) => {
    stream.write(text)
    wroteAt = Date.now()
  }
  const writeEntries = (entries: typeof start.first) => {
    for (const { id, ...verdict } of entries) {
      write(`id: ${id}\ndata: ${JSON.stringify(verdict)}\n\n`)
      lastId = id
    }
  }
  write('retry: 2000\n\n')
  writeEntries(start.first)
  let timer: NodeJS.Timeout | undefined
  const look = async () => {
    try {
      // A viewer that does not read is not written to; it finds what it missed in the stream, up to its cap.
      if (!stream.writableNeedDrain) writeEntries(await readFeed(cache, sourceId, lastId, SHOWN_AT_FIRST))
    } catch {
      if (!stream.writableNeedDrain) write(': the feed is not reachable\n\n')
    }
    if (Date.now() - wroteAt > HEARTBEAT_MS) write(': still here\n\n')
    if (viewers.has(end)) timer = setTimeout(look, POLL_MS)
  }
  const end = () => {
    clearTimeout(timer)
    viewers.delete(end)
    stream.end()
  }
  viewers.add(end)
  stream.on('close', end)
  timer = setTimeout(look, POLL_MS)
}

async function mustBeSecretKey(request: FastifyRequest, keys: KeyCache): Promise<void> {
  const key = keyOfHeader(request.headers.authorization)
  if (key === undefined) throw fail('unauthorized', 'send a secret key (mk_sec_…) as Bearer token')
  const { record } = await keys.find(key)
  if (record.kind !== 'sec') throw fail('forbidden', 'a write key may not read: use a secret key (mk_sec_…)')
}
