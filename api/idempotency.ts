// Idempotency-Key on admin POSTs: the same key and body get the stored answer again, so a client may retry blindly.
// Answers are kept sealed (AES-256-GCM under the deployment's secret and the client's own key, which is not stored):
// some carry an API key that is otherwise never kept. Installed by api/app.ts on all POSTs of the API.
import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { claimIdempotencyKey, keepIdempotentAnswer, releaseIdempotencyKey } from '../store/idempotency.ts'
import type { Sql } from '../store/sql.ts'
import { actorOf } from './admission.ts'

type Held = { keyHash: Buffer; sealKey: Buffer }

/** Statuses below 500 are answers; these two only say "not now" and are never kept. */
const NOT_ANSWERS = new Set([409, 429])

/** Runs after the checks of a request's shape, so that a refused body never uses up its key. */
export function installIdempotency(app: HttpServer, deps: { sql: Sql; secret: string }): void {
  const held = new WeakMap<FastifyRequest, Held>()

  app.addHook('preHandler', async (request, reply) => {
    const key = idempotencyKeyOf(request)
    if (key === undefined) return
    const scope = `${actorOf(request)}\n${key}`
    const keyHash = sha256(scope)
    const sealKey = Buffer.from(hkdfSync('sha256', deps.secret, keyHash, `idempotency\n${scope}`, 32))
    const claim = await claimIdempotencyKey(deps.sql, keyHash, sha256(said(request)))
    switch (claim.kind) {
      case 'claimed':
        held.set(request, { keyHash, sealKey })
        return
      case 'in-flight':
        throw fail('conflict', 'a request with this Idempotency-Key is still running', { retryAfterS: 1 })
      case 'other-body':
        throw fail(
          'idempotency_mismatch',
          'this Idempotency-Key came with another method, path or body before',
        )
      case 'answered':
        return replay(reply, claim.status, open(claim.sealed, sealKey))
    }
  })

  app.addHook('onSend', async (request, reply, payload) => {
    const mine = held.get(request)
    if (mine === undefined) return payload
    held.delete(request)
    const text = typeof payload === 'string' ? payload : ''
    if (reply.statusCode >= 500 || NOT_ANSWERS.has(reply.statusCode))
      await releaseIdempotencyKey(deps.sql, mine.keyHash)
    else await keepIdempotentAnswer(deps.sql, mine.keyHash, reply.statusCode, seal(text, mine.sealKey))
    return payload
  })
}

function idempotencyKeyOf(request: FastifyRequest): string | undefined {
  if (request.method !== 'POST' || request.routeOptions.config.open === true) return undefined
  const key = request.headers['idempotency-key']
  if (key === undefined) return undefined
  if (typeof key !== 'string' || key.length < 1 || key.length > 255) {
    throw fail('invalid_request', 'Idempotency-Key must be one text of 1 to 255 characters', {
      field: 'idempotency-key',
    })
  }
  return key
}

/** What the request said: the same key with anything else of it changed is a mistake of the client. */
function said(request: FastifyRequest): string {
  return `${request.method} ${request.url}\n${JSON.stringify(request.body ?? null)}`
}

function replay(reply: FastifyReply, status: number, text: string): FastifyReply {
  const type = status >= 400 ? 'application/problem+json' : 'application/json; charset=utf-8'
  return reply
    .code(status)
    .header('idempotent-replayed', 'true')
    .type(type)
    .serializer((body) => String(body))
    .send(text)
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest()
}

function seal(text: string, key: Buffer): string {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')
}

function open(sealed: string, key: Buffer): string {
  const bytes = Buffer.from(sealed, 'base64')
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12))
  decipher.setAuthTag(bytes.subarray(12, 28))
  return Buffer.concat([decipher.update(bytes.subarray(28)), decipher.final()]).toString('utf8')
}
