// API keys: made, listed and revoked. The text of a key is in one answer only; what is stored is its hash.
import { randomBytes } from 'node:crypto'
import Type from 'typebox'
import type { KeyAuth } from '../runtime/auth.ts'
import { errorCodeOf, fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { recordAudit } from '../store/audit.ts'
import { issueKey, listKeys, type NewKey, revokeKey } from '../store/keys.ts'
import { actorOf } from './admission.ts'
import type { ApiDeps } from './deps.ts'
import { typed } from './typed.ts'

const Kind = Type.Union([Type.Literal('pub'), Type.Literal('sec')], {
  description: '`pub` only writes events of one source and may sit in an app; `sec` reads and administers',
})
const Time = Type.Union([Type.String({ format: 'date-time' }), Type.Null()])

const Key = Type.Object({
  keyId: Type.Integer({ examples: [1] }),
  kind: Kind,
  name: Type.String(),
  sourceId: Type.Union([Type.Integer(), Type.Null()]),
  sourceName: Type.Union([Type.String(), Type.Null()]),
  lastFour: Type.String({ examples: ['x7Qz'] }),
  allowedOrigins: Type.Array(Type.String()),
  allowedIps: Type.Array(Type.String()),
  rateLimitPerSecond: Type.Union([Type.Integer(), Type.Null()]),
  createdAt: Type.String({ format: 'date-time' }),
  lastUsedAt: Time,
  revokedAt: Time,
})

const NewKeyBody = Type.Object(
  {
    kind: Kind,
    sourceId: Type.Optional(Type.Integer({ minimum: 1, maximum: 32767, description: 'Needed for `pub`' })),
    name: Type.Optional(Type.String({ maxLength: 100 })),
    allowedOrigins: Type.Optional(
      Type.Array(Type.String({ pattern: '^https?://[^/\\s]+$' }), { maxItems: 50 }),
    ),
    allowedIps: Type.Optional(
      Type.Array(Type.String({ pattern: '^[0-9a-fA-F:.]+(/[0-9]{1,3})?$' }), { maxItems: 50 }),
    ),
    rateLimitPerSecond: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
  },
  {
    additionalProperties: false,
    examples: [
      { kind: 'pub', sourceId: 1, name: 'web', allowedOrigins: ['https://shop.example'] },
      { kind: 'sec', name: 'reports' },
    ],
  },
)

export function keyRoutes(app: HttpServer, { sql }: ApiDeps, auth: KeyAuth): void {
  const routes = typed(app)

  routes.get(
    '/api/v1/keys',
    {
      schema: {
        tags: ['keys'],
        summary: 'List keys',
        description: 'Revoked ones too. Never the key itself.',
        response: { 200: Type.Object({ data: Type.Array(Key) }) },
      },
    },
    async () => {
      const rows = await listKeys(sql)
      const data = rows.map(({ acceptEventsSince: _, ...row }) => ({
        ...row,
        createdAt: row.createdAt.toISOString(),
        lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
        revokedAt: row.revokedAt?.toISOString() ?? null,
      }))
      return { data }
    },
  )

  routes.post(
    '/api/v1/keys',
    {
      schema: {
        tags: ['keys'],
        summary: 'Make a key',
        description: 'The answer is the only place where `key` is ever shown.',
        body: NewKeyBody,
        response: {
          201: Type.Object({ key: Type.String(), keyId: Type.Integer(), lastFour: Type.String() }),
        },
      },
    },
    async (request, reply) => {
      const { kind, sourceId } = request.body
      if (kind === 'pub' && sourceId === undefined) {
        throw fail('invalid_request', 'body.sourceId is needed: a write key writes for one source', {
          field: 'sourceId',
        })
      }
      if (kind === 'sec' && sourceId !== undefined) {
        throw fail('invalid_request', 'body.sourceId is not for secret keys', { field: 'sourceId' })
      }
      const key: NewKey = request.body
      const issued = await issueKey(sql, key, randomBytes(16)).catch((error: unknown) => {
        if (errorCodeOf(error) === '23503')
          throw fail('not_found', 'there is no such source', { field: 'sourceId' })
        throw error
      })
      await recordAudit(sql, {
        actor: actorOf(request),
        action: 'key.create',
        target: String(issued.keyId),
        details: { kind, sourceId: sourceId ?? null },
      })
      return reply.code(201).send(issued)
    },
  )

  routes.delete(
    '/api/v1/keys/:keyId',
    {
      schema: {
        tags: ['keys'],
        summary: 'Revoke a key',
        description: 'It stops working everywhere within 5 seconds.',
        params: Type.Object({
          keyId: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, examples: [3] }),
        }),
        response: { 200: Type.Object({ keyId: Type.Integer(), revoked: Type.Boolean() }) },
      },
    },
    async (request) => {
      const { keyId } = request.params
      const revoked = await revokeKey(sql, keyId)
      if (!revoked)
        throw fail('not_found', 'there is no such key, or it was revoked before', { field: 'keyId' })
      auth.forget()
      await recordAudit(sql, { actor: actorOf(request), action: 'key.revoke', target: String(keyId) })
      return { keyId, revoked }
    },
  )
}
