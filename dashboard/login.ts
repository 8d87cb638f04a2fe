// Logging in and out. Tries are counted per name and address, per address and per name, each further one waits longer,
// and an unknown name gets the same answer in the same time as a wrong password.
import { createHmac } from 'node:crypto'
import type { FastifyReply } from 'fastify'
import Type from 'typebox'
import { Value } from 'typebox/value'
import type { Cache } from '../cache/connect.ts'
import { countLoginTry, forgiveLoginTries, type Subject } from '../cache/login-attempts.ts'
import { isInfrastructureError, MillraceError } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { recordAudit } from '../store/audit.ts'
import { findDashboardUser } from '../store/dashboard-users.ts'
import type { Sql } from '../store/sql.ts'
import type { Guard } from './guard.ts'
import { loginPage, signOutPage } from './pages.ts'
import { verifyPassword } from './passwords.ts'

const Form = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 100 }),
  password: Type.String({ minLength: 1, maxLength: 200 }),
  next: Type.Optional(Type.String({ maxLength: 2000 })),
})

type Deps = { sql: Sql; store: Pick<Cache, 'redis' | 'key'>; secret: string; guard: Guard }

export function loginRoutes(app: HttpServer, deps: Deps): void {
  app.addContentTypeParser(
    'application/x-www-form-urlencoded',
    { parseAs: 'string' },
    (_request, body, done) => {
      done(null, Object.fromEntries(new URLSearchParams(body.toString())))
    },
  )

  app.get('/login', { config: { open: true } }, (request, reply) => {
    const next = localPath(memberOf(request.query, 'next'))
    if (deps.guard.personOf(request) !== undefined) return reply.redirect(next, 303)
    return show(reply, 200, loginPage({ next }))
  })

  app.post('/login', { config: { open: true } }, async (request, reply) => {
    const form = request.body
    const next = localPath(memberOf(form, 'next'))
    if (!Value.Check(Form, form))
      return show(reply, 400, loginPage({ next, problem: 'Name and password are needed.' }))
    try {
      const name = form.name.trim().toLowerCase()
      const subjects = subjectsOf(name, request.ip, deps.secret)
      const waitMs = await countLoginTry(deps.store, subjects)
      if (waitMs > 0) return tooMany(reply, form.name, next, waitMs)
      const user = await findDashboardUser(deps.sql, name)
      if (!(await verifyPassword(form.password, user?.passwordHash)) || user === undefined) {
        return show(reply, 401, loginPage({ next, name: form.name, problem: 'Name or password is wrong.' }))
      }
      await forgiveLoginTries(deps.store, subjects)
      await deps.guard.logIn(request, reply, user)
      await recordAudit(deps.sql, { actor: `user:${user.name}`, action: 'dashboard.login' })
      return reply.redirect(next, 303)
    } catch (error) {
      if (error instanceof MillraceError && error.code === 'overloaded')
        return tooMany(reply, form.name, next, 5000)
      // The counter or the users cannot be read: nobody gets in.
      if (isInfrastructureError(error)) {
        return show(
          reply,
          503,
          loginPage({ next, name: form.name, problem: 'A store is not reachable; try again soon.' }),
        )
      }
      throw error
    }
  })

  app.get('/logout', (request, reply) => {
    const person = deps.guard.personOf(request)
    return person === undefined ? reply.redirect('/login', 303) : show(reply, 200, signOutPage(person))
  })

  app.post('/logout', { config: { open: true } }, async (request, reply) => {
    await deps.guard.logOut(request, reply)
    return reply.redirect('/login', 303)
  })
}

function tooMany(reply: FastifyReply, name: string, next: string, waitMs: number): FastifyReply {
  const seconds = Math.ceil(waitMs / 1000)
  reply.header('retry-after', String(seconds))
  const problem = `Too many tries. Wait ${seconds === 1 ? 'a second' : `${seconds} seconds`}, then try again.`
  return show(reply, 429, loginPage({ next, name, problem }))
}

/** An address may mistype more often than one name from it; a name as such only slows down when many try it. */
function subjectsOf(name: string, ip: string, secret: string): Subject[] {
  const hash = (text: string) => createHmac('sha256', secret).update(text).digest('base64url').slice(0, 22)
  return [
    { name: hash(`pair\n${name}\n${ip}`), freeTries: 5 },
    { name: hash(`address\n${ip}`), freeTries: 20 },
    { name: hash(`name\n${name}`), freeTries: 50 },
  ]
}

function show(reply: FastifyReply, status: number, text: string): FastifyReply {
  return reply.code(status).type('text/html; charset=utf-8').send(text)
}

/** A path on this server, or the queues: never another host. */
function localPath(path: string | undefined): string {
  return path !== undefined && /^\/(?![/\\])[^\\\s]*$/.test(path) ? path : '/admin/queues'
}

function memberOf(value: unknown, member: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const found: unknown = Object.entries(value).find(([name]) => name === member)?.[1]
  return typeof found === 'string' ? found : undefined
}
