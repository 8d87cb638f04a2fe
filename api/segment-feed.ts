// The feed of membership changes: every entry and exit once it is committed, by server-sent events or a WebSocket, from now
// or from any position on; or the next few of them as JSON. What a position is, and why nothing is left out: store/feed.ts.
import websocket, { type WebSocket } from '@fastify/websocket'
import type { FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import {
  afterChanges,
  decodePosition,
  encodePosition,
  type Position,
  START,
} from '../domain/feed-position.ts'
import type { KeyAuth } from '../runtime/auth.ts'
import { fail, MillraceError } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { isOfThisDeployment, newestPosition } from '../store/feed.ts'
import type { Servers } from '../store/servers.ts'
import type { ApiDeps } from './deps.ts'
import { openFeeds } from './feed/feeds.ts'
import { type Filter, openFilter } from './feed/filter.ts'
import { type FeedPace, PACE } from './feed/listener.ts'
import { CHANGE_REASONS, FeedChange, readFeed, type Slugs } from './feed/message.ts'
import { openEventStream, openSocket } from './feed/sinks.ts'
import { CHANGES_A_LOCK } from './feed/tail.ts'
import { typed } from './typed.ts'

export const FEED_PATH = '/api/v1/segment-feed'

const Query = Type.Object(
  {
    segment: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 63,
        description: 'Only of this segment: slug or number',
        examples: ['gold-plan'],
      }),
    ),
    user: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 256,
        description: 'Only of whom this user id means, also after merges',
        examples: ['user-42'],
      }),
    ),
    reason: Type.Optional(Type.Enum([...CHANGE_REASONS], { examples: ['event'] })),
    op: Type.Optional(Type.Enum(['enter', 'exit'], { examples: ['enter'] })),
    after: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 1400,
        description:
          'Go on after this position (an `id` of the stream, `after` of a page), or from the `start` of all there is; absent = from now on. `Last-Event-ID` comes first',
        examples: ['start'],
      }),
    ),
    counters: Type.Boolean({
      default: false,
      examples: [false],
      description:
        'Instead of the changes: how many have entered, left and are in, at most four times a second, whatever the flood',
    }),
  },
  { additionalProperties: false },
)
const Headers = Type.Object({
  'last-event-id': Type.Optional(
    Type.String({ maxLength: 1400, description: 'Sent by an EventSource that connects again' }),
  ),
})

const Page = Type.Object({
  data: Type.Array(FeedChange),
  after: Type.String({ description: 'The position after them, for the next page or for the stream' }),
  more: Type.Boolean({ description: 'Whether there are more by now, of this filter or of others' }),
})
const CHANGES_A_PAGE = 500

const STREAM = `id: AZ8tAH8
event: change
data: {"id":4711,"segment":1,"slug":"gold-plan","profileId":1234567,"userId":"user-42","op":"enter","reason":"event","version":1,"effectiveAt":"2026-11-29T09:31:07.000Z","recordedAt":"2026-11-29T09:31:07.312Z","metrics":[{"path":"rule.match","k":"trait","holds":true,"value":"gold","op":"eq","threshold":"gold"}]}

event: counters
data: {"segments":[{"segment":1,"slug":"gold-plan","entered":3,"left":1,"members":122}]}

: still here
id: AZ8tAH8

event: end
data: {"reason":"stopping"}
`

const DESCRIPTION = `Every entry and exit, within a second of its commit, at least once: \`id\` in the data is the change's own, \
the same however often it comes. Changes of one person come in order; of different people in any. 

As server-sent events: \`curl -N -H 'authorization: Bearer mk_sec_…' ${FEED_PATH}?segment=gold-plan\`. The \`id:\` of an event is the \
position after it and all before it (not every event has one), and \`Last-Event-ID\` or \`?after=\` goes on from there, on any process, \
however long ago that was. A WebSocket on the same path gets \`{"event", "id", "data"}\`. With \`Accept: application/json\` the next ${CHANGES_A_PAGE} at most are \
answered at once.

The last event says why a feed ends: \`stopping\` (the process stops: connect again), \`slow\` (nothing was taken for 30 s), \`unauthorized\` (the key \
was revoked), \`unavailable\` (Postgres does not answer), \`full\`. Go on from the last \`id\`.

\`?counters=true\` begins with all segments, then tells those that change: \`members\` now, \`entered\` and \`left\` since the message before.`

type Asked = { filter: Filter; from: Position | null }

export async function segmentFeedRoutes(
  app: HttpServer,
  deps: ApiDeps,
  auth: KeyAuth,
  pace: FeedPace = PACE,
): Promise<void> {
  const { servers } = deps
  const slugs: Slugs = new Map()
  const feeds = openFeeds({ ...deps, slugs }, { most: deps.config.feedListeners, pace })
  const askedBy = new WeakMap<FastifyRequest, Asked>()

  const serve = (request: FastifyRequest, open: () => Parameters<typeof feeds.serve>[0]) => {
    const asked = askedBy.get(request)
    if (asked === undefined) throw new Error('a feed was not prepared')
    feeds.serve(open(), { ...asked, mayStay: keyHolds(auth, request.headers.authorization, pace.checkMs) })
  }

  await app.register(async (scope) => {
    await scope.register(websocket, {
      // Clients have nothing to say.
      options: { maxPayload: 1024 },
      errorHandler: (_error, socket: WebSocket) => socket.terminate(),
      preClose: (done) => done(),
    })
    // Who is refused a WebSocket has a connection that no HTTP server looks after any more.
    scope.addHook('onResponse', async (request) => {
      if (request.headers.upgrade?.toLowerCase() === 'websocket') request.raw.socket.destroy()
    })
    scope.addHook('preClose', (done) => {
      feeds.close()
      done()
    })
    typed(scope).route({
      method: 'GET',
      url: FEED_PATH,
      config: { isStream: true },
      schema: {
        tags: ['segments'],
        summary: 'Feed of membership changes',
        description: DESCRIPTION,
        querystring: Query,
        headers: Headers,
        response: {
          200: {
            description: 'The stream; as JSON the next changes',
            content: {
              'application/json': { schema: Page },
              'text/event-stream': {
                schema: Type.Unsafe<Static<typeof Page>>(Type.String({ examples: [STREAM] })),
              },
            },
          },
        },
      },
      // Before a connection becomes a WebSocket: mistakes are answered as everywhere.
      async preHandler(request) {
        const query = request.query as Static<typeof Query>
        if (!wantsPage(request)) feeds.mustHaveRoom()
        const filter = await openFilter(servers, query)
        const from = query.counters ? null : await positionOf(servers, request)
        askedBy.set(request, { filter, from })
      },
      async handler(request, reply) {
        if (wantsPage(request)) return pageOf({ servers, slugs }, askedBy.get(request))
        serve(request, () => {
          reply.hijack()
          return openEventStream(reply.raw, feeds.terms)
        })
        return reply
      },
      wsHandler(socket, request) {
        serve(request, () => openSocket(socket, feeds.terms))
      },
    })
  })
}

function wantsPage({ headers: { accept = '' } }: FastifyRequest): boolean {
  return accept.includes('application/json') && !accept.includes('text/event-stream')
}

async function pageOf(
  source: { servers: Servers; slugs: Slugs },
  asked: Asked | undefined,
): Promise<Static<typeof Page>> {
  const { from, filter } = asked ?? {}
  if (from == null || filter === undefined)
    throw fail('invalid_request', 'counters come as a stream only', { field: 'counters' })
  const read = await readFeed(source, from, CHANGES_A_LOCK)
  if (read.failure !== undefined) throw read.failure
  const changes = read.changes.slice(0, CHANGES_A_PAGE)
  const wanted = await filter.pick(changes)
  return {
    data: changes.filter((change) => wanted.has(change)),
    after: encodePosition(afterChanges(from, changes)),
    more: !read.isWhole || changes.length < read.changes.length,
  }
}

/** Where a client wants to go on; throws `invalid_request` for what is no position, or one of another deployment. */
async function positionOf(servers: Servers, request: FastifyRequest): Promise<Position> {
  const { after } = request.query as Static<typeof Query>
  const last = request.headers['last-event-id']
  const isResumed = typeof last === 'string' && last !== ''
  const text = isResumed ? last : after
  if (text === undefined) return newestPosition(servers)
  if (text === 'start') return START
  const field = isResumed ? 'Last-Event-ID' : 'after'
  const position = decodePosition(text)
  if (position === undefined) throw fail('invalid_request', `${field} is no position of this feed`, { field })
  if (!(await isOfThisDeployment(servers, position)))
    throw fail(
      'invalid_request',
      `${field} is ahead of all changes there are: it is of another deployment; begin with after=start, or without it`,
      { field },
    )
  return position
}

/** Asks now and then whether a key still holds; an outage is no answer. */
function keyHolds(auth: KeyAuth, authorization: string | undefined, everyMs: number): () => Promise<boolean> {
  let askedAt = performance.now()
  return async () => {
    if (performance.now() - askedAt < everyMs) return true
    askedAt = performance.now()
    try {
      await auth.authenticate(authorization)
      return true
    } catch (error) {
      return !(error instanceof MillraceError && error.code === 'unauthorized')
    }
  }
}
