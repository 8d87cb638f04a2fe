// A listening API of one world, with a secret key, and a small client for it. The caller closes it before the world.
import { randomBytes } from 'node:crypto'
import { mountApi, SOCKET_PATH } from '../../api/app.ts'
import type { ApiDeps } from '../../api/deps.ts'
import type { FeedPace } from '../../api/feed/listener.ts'
import type { Cache } from '../../cache/connect.ts'
import { mountCollector } from '../../collector/app.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Config } from '../../runtime/config.ts'
import { createHttpServer } from '../../runtime/http.ts'
import { issueKey } from '../../store/keys.ts'
import type { World } from './world.ts'

// biome-ignore lint/suspicious/noExplicitAny: answers are read member by member in assertions
export type Answer = { status: number; headers: Headers; body: any; text: string }

export type ApiServer = Awaited<ReturnType<typeof startApi>>

/** With `collector` the write routes share the server, as `millrace start` does it. */
export async function startApi(
  world: World,
  options: {
    collector?: boolean
    clock?: Clock
    config?: Partial<Config>
    feedPace?: FeedPace
    cache?: Cache
  } = {},
) {
  const config = { ...world.config, ...options.config }
  const app = createHttpServer({
    log: world.log,
    bodyLimitBytes: config.maxRequestBytes,
    socketPath: SOCKET_PATH,
  })
  const deps: ApiDeps = {
    sql: world.sql,
    servers: world.servers,
    cache: options.cache ?? world.cache,
    config,
    clock: options.clock ?? world.clock,
    log: world.log,
    metrics: world.metrics,
    sender: world.sender,
    depth: world.depth,
    publicUrl: 'http://127.0.0.1:8080',
    secret: 'a secret of this test',
  }
  await mountApi(app, deps, options.feedPace)
  const collector =
    options.collector === true ? await mountCollector(app, { ...deps, send: world.sender.send }) : undefined
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const { key, keyId } = await issueKey(world.sql, { kind: 'sec', name: 'test' }, randomBytes(16))

  async function call(
    method: string,
    path: string,
    options: { body?: unknown; csv?: string; key?: string | null; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    const bearer = options.key === null ? {} : { authorization: `Bearer ${options.key ?? key}` }
    const json = options.body === undefined ? undefined : JSON.stringify(options.body)
    const type = options.csv === undefined ? 'application/json' : 'text/csv'
    const body = options.csv ?? json
    const typeHeader = body === undefined ? {} : { 'content-type': type }
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { ...bearer, ...typeHeader, ...options.headers },
      ...(body === undefined ? {} : { body }),
    })
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.includes('json') === true
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson ? JSON.parse(text) : undefined,
    }
  }

  return {
    url,
    key,
    keyId,
    app,
    call,
    get: (path: string) => call('GET', path),
    post: (path: string, body?: unknown, headers?: Record<string, string>) =>
      call('POST', path, { body, ...(headers === undefined ? {} : { headers }) }),
    async close() {
      await app.close()
      await collector?.stop()
    },
  }
}
