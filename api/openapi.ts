// The API's own description: OpenAPI 3.1 generated from the route schemas, and Swagger UI at /api/docs. Must be
// registered before any route it shall describe (collector and API); routes without a summary stay out of it.
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifySchema } from 'fastify'
import Type from 'typebox'
import { ERRORS, type ErrorCode } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'

const PROBLEM = Type.Object(
  {
    type: Type.String({ examples: ['urn:millrace:error:not_found'] }),
    title: Type.String({ examples: ['There is no such thing'] }),
    status: Type.Integer({ examples: [404] }),
    code: Type.String({ description: 'Stable; one of the table of errors', examples: ['not_found'] }),
    detail: Type.String({ examples: ['there is no user with this id'] }),
    field: Type.Optional(Type.String({ examples: ['userId'] })),
  },
  { $id: 'Problem', title: 'Problem', description: 'RFC 9457 problem details' },
)

const LOGO = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 150 32"><rect width="32" height="32" rx="8" fill="#0f766e"/><path d="M6 11c3.3-3 6.7-3 10 0s6.7 3 10 0M6 17c3.3-3 6.7-3 10 0s6.700 3 10 0M6 23c3.300-3 6.700-3 10 0s6.700 3 10 0" fill="none" stroke="#ecfeff" stroke-width="2.6" stroke-linecap="round"/><text x="44" y="23" font-family="system-ui,sans-serif" font-size="20" font-weight="700" fill="#fff">Millrace</text></svg>`

const TAGS = [
  { name: 'events', description: 'Sending events: with a write key (`mk_pub_…`)' },
  { name: 'users', description: 'People with a user id' },
  { name: 'profiles', description: 'The same by profile number: also for people without a user id' },
  { name: 'sessions', description: 'Runs of events with gaps of at most 30 minutes' },
  { name: 'segments', description: 'Rules, who is in, and how many' },
  { name: 'lists', description: 'User ids from elsewhere, that rules ask about' },
  { name: 'metrics', description: 'Values of a person under a name, that rules compare' },
  { name: 'campaigns', description: 'What is sent to whom when they enter a segment' },
  { name: 'templates', description: 'The texts of messages' },
  { name: 'deliveries', description: 'What was sent, and how it went' },
  { name: 'suppressions', description: 'Addresses that are never written to' },
  { name: 'sources', description: 'What sends events' },
  { name: 'keys', description: 'Who may send and who may read' },
  { name: 'queues', description: 'Depth, age, pause and resume' },
  { name: 'failed events', description: 'What could not be kept, and sending it again' },
  { name: 'audit', description: 'Who changed what' },
]

/** Registers the description on the root server. `publicUrl` is how the outside reaches it, without a trailing slash. */
export async function registerOpenApi(app: HttpServer, options: { publicUrl: string }): Promise<void> {
  app.addSchema(PROBLEM)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Millrace',
        version: '1',
        description:
          'Reading and steering Millrace. Every answer that is not 2xx is a problem (RFC 9457). POSTs take an ' +
          '`Idempotency-Key`: the same key and body get the same answer again for a day.',
      },
      // The page may only ask its own server, whatever the outside calls that.
      servers: [{ url: '/', description: 'This server' }, { url: options.publicUrl }],
      tags: TAGS,
      components: {
        securitySchemes: {
          secretKey: { type: 'http', scheme: 'bearer', description: 'A secret key, `mk_sec_…`' },
          secretKeyBasic: { type: 'http', scheme: 'basic', description: 'The secret key as user name' },
          writeKey: { type: 'http', scheme: 'basic', description: 'A write key, `mk_pub_…`, as user name' },
        },
      },
    },
    refResolver: {
      buildLocalReference: (json, _base, _fragment, i) =>
        typeof json.$id === 'string' ? json.$id : `def-${i}`,
    },
    transform: ({ schema, url, route }) => ({
      url,
      schema: described(schema, url, route.method, route.config),
    }),
  })
  await app.register(swaggerUi, {
    routePrefix: '/api/docs',
    logo: { type: 'image/svg+xml', content: LOGO },
    theme: { title: 'Millrace API' },
    uiConfig: { docExpansion: 'list', deepLinking: true, persistAuthorization: false, tryItOutEnabled: true },
    staticCSP:
      "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
      "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  })
  app.get('/api/openapi.json', { schema: { hide: true } }, () => app.swagger())
}

function described(
  schema: FastifySchema | undefined,
  url: string,
  method: string | string[],
  config: unknown,
): FastifySchema {
  if (schema === undefined || schema.hide === true || schema.summary === undefined) return { hide: true }
  const isOpen = typeof config === 'object' && config !== null && 'open' in config && config.open === true
  const isEdge = url.startsWith('/v1/') || url.startsWith('/api/v1/events')
  const security = isOpen ? [] : isEdge ? [{ writeKey: [] }] : [{ secretKey: [] }, { secretKeyBasic: [] }]
  const responses: Record<string, unknown> =
    typeof schema.response === 'object' && schema.response !== null ? { ...schema.response } : {}
  const isSuccessSaid = Object.keys(responses).some((status) => status.startsWith('2'))
  if (!isSuccessSaid) responses[200] = { type: 'null', description: 'Done' }
  for (const code of problemsOf(url, method, isOpen)) {
    const { status, title } = ERRORS[code]
    responses[status] ??= {
      description: title,
      content: { 'application/problem+json': { schema: { $ref: 'Problem#' } } },
    }
  }
  const isAdminPost = method === 'POST' && !isOpen && !isEdge
  return {
    operationId: operationIdOf(url, method),
    ...schema,
    ...(isAdminPost ? { headers: IDEMPOTENCY_HEADER } : {}),
    security,
    response: responses,
  }
}

const IDEMPOTENCY_HEADER = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      description: 'Makes the request safe to send again for a day',
    }),
  ),
})

/** `GET /api/v1/users/:userId/events` -> `getUsersUserIdEvents`. */
function operationIdOf(url: string, method: string | string[]): string {
  const words = url.replace(/^\/api\/v1/, '').split(/[^A-Za-z0-9]+/)
  return (
    String(method).toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
  )
}

/** What besides success an answer may be; route files add their own. */
function problemsOf(url: string, method: string | string[], isOpen: boolean): ErrorCode[] {
  const codes: ErrorCode[] = ['invalid_request', 'unavailable']
  if (!isOpen) codes.push('unauthorized', 'forbidden')
  if (url.includes(':')) codes.push('not_found')
  if (method === 'POST' && !isOpen) codes.push('conflict', 'idempotency_mismatch')
  return codes
}
