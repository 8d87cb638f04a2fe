// What one person did and was sent: events, sessions, entries and exits, deliveries; newest first. Under a user id and, for
// people without one, under a profile number.
import Type, { type Static } from 'typebox'
import type { HttpServer } from '../runtime/http.ts'
import { ChangeMetrics } from '../schema/change-metric.ts'
import {
  type EventOfProfile,
  listChangesOf,
  listDeliveriesOf,
  listEventsOf,
  slugsOf,
} from '../store/profile-history.ts'
import { listSessionsOf } from '../store/sessions-read.ts'
import type { ApiDeps } from './deps.ts'
import { decodeCursor, KeyNumber, KeyText, KeyTime, PageQuery, pageOf, toPage } from './paging.ts'
import { PROFILE_DOORS } from './profile-doors.ts'
import { Session, toSession } from './sessions.ts'
import { typed } from './typed.ts'

const Nullable = Type.Union([Type.String(), Type.Null()])

const Event = Type.Object({
  messageId: Type.String({ examples: ['m-7f1c'] }),
  type: Type.String({ examples: ['track'] }),
  event: Type.String({ description: 'Name of a track, page or screen', examples: ['Order Completed'] }),
  timestamp: Type.String({ format: 'date-time' }),
  receivedAt: Type.String({ format: 'date-time' }),
  sourceId: Type.Integer(),
  userId: Nullable,
  anonymousId: Nullable,
  value: Type.Union([Type.Integer(), Type.Null()], {
    description: 'Minor units of `currency`',
    examples: [4990],
  }),
  currency: Nullable,
  properties: Type.Record(Type.String(), Type.Unknown()),
  context: Type.Record(Type.String(), Type.Unknown()),
})

const Change = Type.Object({
  changeId: Type.Integer(),
  segment: Type.String({ examples: ['big-spenders'] }),
  version: Type.Integer(),
  op: Type.Enum(['enter', 'exit']),
  reason: Type.String({
    description: 'event, time, late, merged, erased, rule_changed or backfill',
    examples: ['time'],
  }),
  effectiveAt: Type.String({ format: 'date-time', description: 'When the rule turned' }),
  recordedAt: Type.String({ format: 'date-time', description: 'When it was noticed' }),
  metrics: ChangeMetrics,
})
export type Change = Static<typeof Change>

const Delivery = Type.Object({
  deliveryKey: Type.String(),
  channel: Type.String({ examples: ['email'] }),
  campaignId: Type.Integer(),
  state: Type.String({ examples: ['sent'] }),
  attempt: Type.Integer(),
  reason: Nullable,
  createdAt: Type.String({ format: 'date-time' }),
  sentAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
})

const EventKey = Type.Object({ timeMs: KeyTime, messageId: KeyText })
const SessionKey = Type.Object({ startedBeforeMs: KeyTime })
const ChangeKey = Type.Object({ beforeChangeId: KeyNumber })
const DeliveryKey = Type.Object({ createdMs: KeyTime, deliveryKey: KeyText })

const EventQuery = Type.Object(
  {
    ...PageQuery,
    event: Type.Optional(
      Type.String({ maxLength: 200, description: 'Only events of this name', examples: ['Order Completed'] }),
    ),
  },
  { additionalProperties: false },
)
const PlainQuery = Type.Object(PageQuery, { additionalProperties: false })

export function userHistoryRoutes(app: HttpServer, deps: ApiDeps): void {
  for (const door of PROFILE_DOORS) historyRoutes(app, deps, door)
}

function historyRoutes(app: HttpServer, { servers }: ApiDeps, door: (typeof PROFILE_DOORS)[number]): void {
  const about = (what: string) => ({
    tags: [door.tag],
    summary: `${what} of a ${door.noun}`,
    params: door.params,
  })
  const routes = typed(app)

  routes.get(
    `${door.path}/events`,
    { schema: { ...about('Events'), querystring: EventQuery, response: { 200: pageOf(Event) } } },
    async ({ params, query }) => {
      const rows = await listEventsOf(servers, await door.resolve(servers, params), {
        after: decodeCursor(EventKey, query.cursor),
        event: query.event,
        limit: query.limit + 1,
      })
      const page = toPage(rows, query.limit, (row) => ({
        timeMs: row.time.getTime(),
        messageId: row.messageId,
      }))
      return { ...page, data: page.data.map(toEvent) }
    },
  )

  routes.get(
    `${door.path}/sessions`,
    { schema: { ...about('Sessions'), querystring: PlainQuery, response: { 200: pageOf(Session) } } },
    async ({ params, query }) => {
      const profileId = await door.resolve(servers, params)
      const rows = await listSessionsOf(servers.of(profileId), profileId, {
        startedBeforeMs: decodeCursor(SessionKey, query.cursor)?.startedBeforeMs,
        limit: query.limit + 1,
      })
      const page = toPage(rows, query.limit, (row) => ({ startedBeforeMs: row.startedAt.getTime() }))
      return { ...page, data: page.data.map(toSession) }
    },
  )

  routes.get(
    `${door.path}/segment-changes`,
    { schema: { ...about('Segment changes'), querystring: PlainQuery, response: { 200: pageOf(Change) } } },
    async ({ params, query }) => {
      const profileId = await door.resolve(servers, params)
      const rows = await listChangesOf(servers.of(profileId), profileId, {
        beforeChangeId: decodeCursor(ChangeKey, query.cursor)?.beforeChangeId,
        limit: query.limit + 1,
      })
      const slugs = await slugsOf(servers.home, [...new Set(rows.map((row) => row.segmentId))])
      const page = toPage(rows, query.limit, (row) => ({ beforeChangeId: row.changeId }))
      const data = page.data.map(({ segmentId, effectiveAt, recordedAt, ...row }) => ({
        ...row,
        segment: slugs.get(segmentId) ?? String(segmentId),
        effectiveAt: effectiveAt.toISOString(),
        recordedAt: recordedAt.toISOString(),
      }))
      return { ...page, data }
    },
  )

  routes.get(
    `${door.path}/deliveries`,
    { schema: { ...about('Deliveries'), querystring: PlainQuery, response: { 200: pageOf(Delivery) } } },
    async ({ params, query }) => {
      const profileId = await door.resolve(servers, params)
      const rows = await listDeliveriesOf(servers.of(profileId), profileId, {
        after: decodeCursor(DeliveryKey, query.cursor),
        limit: query.limit + 1,
      })
      const page = toPage(rows, query.limit, (row) => ({
        createdMs: row.createdAt.getTime(),
        deliveryKey: row.deliveryKey,
      }))
      const data = page.data.map((row) => ({
        ...row,
        createdAt: row.createdAt.toISOString(),
        sentAt: row.sentAt?.toISOString() ?? null,
      }))
      return { ...page, data }
    },
  )
}

function toEvent(row: EventOfProfile) {
  return {
    messageId: row.messageId,
    type: row.type,
    event: row.event,
    timestamp: row.time.toISOString(),
    receivedAt: row.receivedAt.toISOString(),
    sourceId: row.sourceId,
    userId: row.userId,
    anonymousId: row.anonymousId,
    value: row.value,
    currency: row.currency,
    properties: row.properties,
    context: row.context ?? {},
  }
}
