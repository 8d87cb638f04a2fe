// The door of /api/v1: every route asks for a secret key, save those marked `config: { open: true }` (links in mails).
// Remembers who asked, for the audit log. A key that may sit in an app (mk_pub_) is refused.
import type { FastifyRequest } from 'fastify'
import type { KeyRecord } from '../domain/keys.ts'
import type { KeyAuth } from '../runtime/auth.ts'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True = no key needed. */
    open?: boolean
  }
}

const askers = new WeakMap<FastifyRequest, KeyRecord>()

/** Installs the check on all routes of `app` (an encapsulated plugin). */
export function admitSecretKeys(app: HttpServer, auth: KeyAuth): void {
  app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.config.open === true) return
    // Answers carry personal data: no proxy or browser keeps them.
    reply.header('cache-control', 'no-store')
    try {
      const key = await auth.authenticate(request.headers.authorization)
      if (key.kind !== 'sec')
        throw fail('forbidden', 'a write key (mk_pub_) may only send events; use a secret key (mk_sec_)')
      askers.set(request, key)
    } catch (error) {
      reply.header('www-authenticate', 'Bearer realm="millrace"')
      throw error
    }
  })
}

/** Who makes this request, as the audit log names them: `key:12`. */
export function actorOf(request: FastifyRequest): string {
  const key = askers.get(request)
  return key === undefined ? 'nobody' : `key:${key.keyId}`
}
