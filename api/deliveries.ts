// Deliveries: what was sent to whom, and how it went. Read only; one row a message and channel.
import Type from 'typebox'
import type { HttpServer } from '../runtime/http.ts'
import { CHANNELS } from '../schema/jobs.ts'
import { countDeliveries, DELIVERY_STATES, listDeliveries } from '../store/deliveries.ts'
import type { ApiDeps } from './deps.ts'
import { decodeCursor, KeyNumber, KeyText, PageQuery, pageOf, toPage } from './paging.ts'
import { typed } from './typed.ts'

const tags = ['deliveries']
const STATES =
  '`claimed`, `sending`, `waiting` (will be tried again), `sent`, `failed`, `skipped`, `suppressed`, or `unknown`: ' +
  'handed over, but no answer came, so it is not sent again'

const Delivery = Type.Object({
  deliveryKey: Type.String({ examples: ['c1-s7-email'] }),
  channel: Type.String({ examples: ['email'] }),
  campaignId: Type.Integer({ examples: [1] }),
  profileId: Type.Integer({ examples: [1234567] }),
  state: Type.String({ description: STATES, examples: ['sent'] }),
  attempt: Type.Integer({ examples: [1] }),
  reason: Type.Union([Type.String(), Type.Null()], { description: 'Why it was not sent' }),
  createdAt: Type.String({ format: 'date-time' }),
  sentAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
})
const Query = Type.Object(
  {
    ...PageQuery,
    state: Type.Optional(Type.Enum([...DELIVERY_STATES], { description: STATES, examples: ['sent'] })),
    channel: Type.Optional(Type.Enum([...CHANNELS], { examples: ['email'] })),
    campaignId: Type.Optional(Type.Integer({ minimum: 1, maximum: 2_147_483_647, examples: [1] })),
  },
  { additionalProperties: false },
)
const Key = Type.Object({ createdMicros: KeyNumber, deliveryKey: KeyText })

export function deliveryRoutes(app: HttpServer, { servers }: ApiDeps): void {
  const routes = typed(app)

  routes.get(
    '/api/v1/deliveries',
    {
      schema: {
        tags,
        summary: 'List deliveries',
        description: 'Newest first.',
        querystring: Query,
        response: { 200: pageOf(Delivery) },
      },
    },
    async ({ query }) => {
      const { state, channel, campaignId } = query
      const before = decodeCursor(Key, query.cursor)
      const rows = await listDeliveries(servers, {
        state,
        channel,
        campaignId,
        before,
        limit: query.limit + 1,
      })
      const page = toPage(rows, query.limit, ({ createdMicros, deliveryKey }) => ({
        createdMicros,
        deliveryKey,
      }))
      const data = page.data.map(({ createdMicros, sentAt, ...row }) => ({
        ...row,
        createdAt: new Date(createdMicros / 1000).toISOString(),
        sentAt: sentAt?.toISOString() ?? null,
      }))
      return { ...page, data }
    },
  )

  const Count = Type.Object({
    channel: Type.String({ examples: ['email'] }),
    state: Type.String({ examples: ['sent'] }),
    count: Type.Integer({ examples: [120] }),
  })
  routes.get(
    '/api/v1/deliveries/counts',
    {
      schema: {
        tags,
        summary: 'Count deliveries by channel and state',
        response: { 200: Type.Object({ data: Type.Array(Count) }) },
      },
    },
    async () => ({ data: await countDeliveries(servers) }),
  )
}
