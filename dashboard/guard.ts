// The dashboard's door: who is logged in (a signed cookie naming a session in Redis), and whether a change really comes
// from one of our own pages. Installed on the root of the dashboard's server; pages marked `config: { open: true }` need
// no log-in. Never decides what a role may do: that is permissions.ts.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Cache } from '../cache/connect.ts'
import { dropSession, keepSession, readSession } from '../cache/dashboard-sessions.ts'
import { fail } from '../runtime/errors.ts'
import { type HttpServer, sendProblem } from '../runtime/http.ts'
import { type DashboardUser, findDashboardUser, type Role } from '../store/dashboard-users.ts'
import type { Sql } from '../store/sql.ts'
import { passwordStamp } from './passwords.ts'

const COOKIE = 'millrace_session'
const SESSION_MS = 12 * 60 * 60_000
/** How long a role change or removed user may go unnoticed; a page loads many files. */
const REMEMBER_MS = 2000
const REMEMBERED = 1000

export type Person = { name: string; role: Role }

export type Guard = {
  personOf(request: FastifyRequest): Person | undefined
  /** Starts a session with a new id and sets its cookie. */
  logIn(request: FastifyRequest, reply: FastifyReply, user: DashboardUser): Promise<void>
  logOut(request: FastifyRequest, reply: FastifyReply): Promise<void>
}

type Store = Pick<Cache, 'redis' | 'key'>

export function installGuard(app: HttpServer, deps: { sql: Sql; store: Store; secret: string }): Guard {
  const people = new WeakMap<FastifyRequest, Person>()
  const remembered = new Map<string, { until: number; person: Promise<Person | undefined> }>()

  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS)
    if (isChange(request) && !isFromOurPage(request)) {
      return sendProblem(reply, fail('forbidden', 'the request does not come from a page of this dashboard'))
    }
    const id = sessionIdOf(request, deps.secret)
    const person = id === undefined ? undefined : await look(id)
    if (person !== undefined) {
      people.set(request, person)
      return
    }
    if (request.routeOptions.config.open === true) return
    if (isPage(request)) return reply.redirect(`/login?next=${encodeURIComponent(request.url)}`, 303)
    return sendProblem(reply, fail('unauthorized', 'log in to the dashboard first'))
  })

  function look(id: string): Promise<Person | undefined> {
    const now = Date.now()
    const known = remembered.get(id)
    if (known !== undefined && known.until > now) return known.person
    const person = readPerson(id)
    if (remembered.size >= REMEMBERED) remembered.clear()
    remembered.set(id, { until: now + REMEMBER_MS, person })
    person.catch(() => remembered.delete(id))
    return person
  }

  async function readPerson(id: string): Promise<Person | undefined> {
    const session = await readSession(deps.store, id)
    if (session === undefined) return undefined
    const user = await findDashboardUser(deps.sql, session.name)
    if (user === undefined || passwordStamp(user.passwordHash) !== session.stamp) return undefined
    return { name: user.name, role: user.role }
  }

  return {
    personOf: (request) => people.get(request),
    async logIn(request, reply, user) {
      const id = randomBytes(24).toString('base64url')
      await keepSession(
        deps.store,
        id,
        { name: user.name, stamp: passwordStamp(user.passwordHash) },
        SESSION_MS,
      )
      setCookie(request, reply, `${id}.${sign(id, deps.secret)}`, SESSION_MS / 1000)
    },
    async logOut(request, reply) {
      const id = sessionIdOf(request, deps.secret)
      if (id !== undefined) {
        remembered.delete(id)
        await dropSession(deps.store, id)
      }
      setCookie(request, reply, '', 0)
    },
  }
}

/** No inline scripts, no foreign hosts; Bull Board sets styles inline. */
const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
    "connect-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'same-origin',
  'cache-control': 'no-store',
}

function isChange(request: FastifyRequest): boolean {
  return request.method !== 'GET' && request.method !== 'HEAD'
}

/** Browsers send Origin with every change; one that is missing or foreign is refused. */
function isFromOurPage(request: FastifyRequest): boolean {
  const { origin, host } = request.headers
  if (origin === undefined || host === undefined || !URL.canParse(origin)) return false
  return new URL(origin).host === host
}

function isPage(request: FastifyRequest): boolean {
  return request.method === 'GET' && (request.headers.accept ?? '').includes('text/html')
}

function sessionIdOf(request: FastifyRequest, secret: string): string | undefined {
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const [name, value = ''] = pair.trim().split('=', 2)
    if (name !== COOKIE) continue
    const [id = '', signature = ''] = value.split('.', 2)
    const expected = Buffer.from(sign(id, secret))
    const actual = Buffer.from(signature)
    if (actual.length === expected.length && timingSafeEqual(actual, expected)) return id
  }
  return undefined
}

function sign(id: string, secret: string): string {
  return createHmac('sha256', secret).update(`dashboard-session\n${id}`).digest('base64url')
}

function setCookie(request: FastifyRequest, reply: FastifyReply, value: string, maxAgeS: number): void {
  const secure = request.protocol === 'https' ? '; Secure' : ''
  reply.header(
    'set-cookie',
    `${COOKIE}=${value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${maxAgeS}${secure}`,
  )
}
