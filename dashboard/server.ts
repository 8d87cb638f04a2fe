// The dashboard: Bull Board on every queue and a search for jobs, behind a log-in. Started by cli/ on its own port; makes
// the first user when there is none. Never serves the API.
import { readFile } from 'node:fs/promises'
import type { RedisClient } from '../queues/connection.ts'
import type { Config } from '../runtime/config.ts'
import { fail } from '../runtime/errors.ts'
import { createHttpServer, type HttpServer } from '../runtime/http.ts'
import type { Service } from '../runtime/lifecycle.ts'
import type { Log } from '../runtime/log.ts'
import { createDashboardUser, hasDashboardUsers } from '../store/dashboard-users.ts'
import type { Servers } from '../store/servers.ts'
import type { Sql } from '../store/sql.ts'
import { BOARD_PATH, mountBoard } from './board.ts'
import { installGuard } from './guard.ts'
import { loginRoutes } from './login.ts'
import { generatePassword, hashPassword } from './passwords.ts'
import { searchRoute } from './search.ts'

export type Dashboard = Service & {
  url: string
  /** Of the user `admin`, when it was made and generated just now: to be printed once. */
  firstPassword?: string
}

/** `redis` is a connection that fails fast (queues/connection.ts connectProducer); it stays the caller's. */
export async function startDashboard(options: {
  config: Config
  log: Log
  sql: Sql
  servers: Servers
  redis: RedisClient
}): Promise<Dashboard> {
  const { config, log, sql, servers, redis } = options
  if (config.secret === '')
    throw fail('invalid_config', 'MILLRACE_SECRET is needed: it signs dashboard sessions')
  const firstPassword = await makeFirstUser(sql, config.adminPassword)
  const app = createHttpServer({ log, bodyLimitBytes: 64 * 1024, trustProxy: config.trustProxy })
  const store = { redis, key: (...parts: (string | number)[]) => [config.namespace, 'c', ...parts].join(':') }
  const guard = installGuard(app, { sql, store, secret: config.secret })
  loginRoutes(app, { sql, store, secret: config.secret, guard })
  searchRoute(app, { config, sql, servers, redis, guard })
  await assetRoutes(app)
  app.get('/', (_request, reply) => reply.redirect(BOARD_PATH, 303))
  const closeBoard = await mountBoard(app, { config, sql, redis, guard })
  const url = await app.listen({ host: config.host, port: config.dashboardPort }).catch((cause: unknown) => {
    throw fail(
      'port_taken',
      `port ${config.dashboardPort} is taken: stop what uses it, or set MILLRACE_DASHBOARD_PORT`,
      { cause },
    )
  })
  return {
    name: 'dashboard',
    url: `${url}${BOARD_PATH}`,
    ...(firstPassword === undefined ? {} : { firstPassword }),
    async stop() {
      await app.close()
      await closeBoard()
    },
  }
}

/** Makes `admin` when there is no user yet; returns its password when we made it up. Two first starts: one wins. */
async function makeFirstUser(sql: Sql, given: string): Promise<string | undefined> {
  if (await hasDashboardUsers(sql)) return undefined
  const password = given === '' ? generatePassword() : given
  const made = await createDashboardUser(sql, {
    name: 'admin',
    passwordHash: await hashPassword(password),
    role: 'admin',
  })
  return made && given === '' ? password : undefined
}

async function assetRoutes(app: HttpServer): Promise<void> {
  const [style, icon] = await Promise.all(
    ['style.css', 'icon.svg'].map((name) => readFile(new URL(`./assets/${name}`, import.meta.url))),
  )
  app.get('/assets/style.css', { config: { open: true } }, (_request, reply) =>
    reply.type('text/css; charset=utf-8').send(style),
  )
  app.get('/assets/icon.svg', { config: { open: true } }, (_request, reply) =>
    reply.type('image/svg+xml').send(icon),
  )
}
