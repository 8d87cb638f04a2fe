// The write routes: Segment's paths, the short ones of its browser SDK, and `/api/v1/events`. Each is a path, a shape and
// its documentation; the work is collector/receive.ts. Wrong methods get 405 with what is allowed.
// Gives route schemas their documentation fields (tags, summary, hide); erased at run time.
import type {} from '@fastify/swagger'
import type { FastifyInstance, FastifySchema } from 'fastify'
import { fail } from '../runtime/errors.ts'
import { sendProblem } from '../runtime/http.ts'
import { EVENT_TYPES } from '../schema/event.ts'
import { checkDoor, type Receiver, receive } from './receive.ts'
import {
  Accepted,
  EcommerceBatch,
  EcommerceEvent,
  Problem,
  SEGMENT_EXAMPLES,
  SegmentBatch,
  SegmentMessage,
} from './schemas.ts'
import type { Shape } from './verdicts.ts'

type WriteRoute = {
  path: string
  shape: Shape
  schema: FastifySchema & { hide?: boolean; tags?: string[]; summary?: string; description?: string }
}

const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: Problem } },
})
const replies = {
  200: Accepted,
  400: problem('Nothing could be accepted; errors says why for each event'),
  401: problem('No key, a mistyped one, or one that was revoked'),
  403: problem('The key may not be used from this origin or address'),
  413: problem('Too many bytes or events'),
  415: problem('Another content type or coding'),
  429: problem('Too fast for the key, or the pipeline is behind: wait Retry-After seconds'),
  503: problem('The events could not be put on disk: send them again after Retry-After seconds'),
}
const tags = ['events']

function segmentRoutes(): WriteRoute[] {
  const singles = EVENT_TYPES.flatMap((type): WriteRoute[] => {
    const shape: Shape = { form: 'single', dialect: 'segment', type }
    const body = { ...SegmentMessage, examples: [SEGMENT_EXAMPLES[type]] }
    return [
      {
        path: `/v1/${type}`,
        shape,
        schema: { tags, summary: `Segment ${type} call`, body, response: replies },
      },
      { path: `/v1/${type.charAt(0)}`, shape, schema: { hide: true } },
    ]
  })
  const batch: Shape = { form: 'batch', dialect: 'segment' }
  const schema = { tags, summary: 'Many calls at once', body: SegmentBatch, response: replies }
  return [
    ...singles,
    { path: '/v1/batch', shape: batch, schema },
    { path: '/v1/import', shape: batch, schema: { ...schema, summary: 'The same as /v1/batch' } },
    { path: '/v1/b', shape: batch, schema: { hide: true } },
  ]
}

const ECOMMERCE_ROUTES: WriteRoute[] = [
  {
    path: '/api/v1/events',
    shape: { form: 'single', dialect: 'ecommerce' },
    schema: { tags, summary: 'One shop event', body: EcommerceEvent, response: replies },
  },
  {
    path: '/api/v1/events/batch',
    shape: { form: 'batch', dialect: 'ecommerce' },
    schema: { tags, summary: 'Many shop events at once', body: EcommerceBatch, response: replies },
  },
]

/** Registers all write routes on an encapsulated instance: its parsers and compilers are not for other routes. */
export function writeRoutes(app: FastifyInstance, receiver: Receiver): void {
  // Bodies are parsed by collector/body.ts, with limits that Fastify's parser has not.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  // The schemas are documentation: events are judged one by one, and answers are written as text.
  app.setValidatorCompiler(() => () => true)
  app.setSerializerCompiler(() => (data) => JSON.stringify(data))
  for (const { path, shape, schema } of [...segmentRoutes(), ...ECOMMERCE_ROUTES]) {
    app.route({
      method: 'POST',
      url: path,
      schema,
      bodyLimit: receiver.config.maxRequestBytes,
      onRequest: (request, _reply, done) => {
        try {
          checkDoor(request, receiver)
          done()
        } catch (error) {
          done(error instanceof Error ? error : new Error('refused'))
        }
      },
      handler: (request, reply) =>
        receiver.span === undefined
          ? receive(request, reply, shape, receiver)
          : receiver.span('collect', () => receive(request, reply, shape, receiver)),
    })
    app.options(path, { schema: { hide: true } }, (_request, reply) => reply.code(204).send())
    // Reading events is the API's: GET under /api/v1 is left to it.
    const others = path.startsWith('/v1/')
      ? (['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE'] as const)
      : (['PUT', 'PATCH', 'DELETE'] as const)
    app.route({
      method: [...others],
      url: path,
      schema: { hide: true },
      handler: (_request, reply) =>
        sendProblem(reply.header('allow', 'POST, OPTIONS'), fail('method_not_allowed', 'send a POST')),
    })
  }
}
