// What became of a segment: its entries and exits, newest first.
import Type from 'typebox'
import type { HttpServer } from '../runtime/http.ts'
import { listChangesOfSegment } from '../store/segment-changes.ts'
import type { ApiDeps } from './deps.ts'
import { CHANGE_REASONS, FeedChange, toFeedChange } from './feed/message.ts'
import { instantAt } from './instants.ts'
import { decodeCursor, encodeCursor, PageQuery, pageOf } from './paging.ts'
import { SegmentParams, segmentOf } from './segment-shapes.ts'
import { typed } from './typed.ts'

const Query = Type.Object(
  {
    ...PageQuery,
    from: Type.Optional(
      Type.String({ description: 'Recorded at this instant or later', examples: ['2026-11-01T00:00:00Z'] }),
    ),
    to: Type.Optional(
      Type.String({ description: 'Recorded before this instant', examples: ['2026-12-01T00:00:00Z'] }),
    ),
    op: Type.Optional(Type.Enum(['enter', 'exit'], { description: 'Only these', examples: ['enter'] })),
    reason: Type.Optional(Type.Enum([...CHANGE_REASONS], { description: 'Only these', examples: ['event'] })),
  },
  { additionalProperties: false },
)
const Key = Type.Object({
  recordedUs: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
  id: Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
})

export function segmentChangeRoutes(app: HttpServer, { sql, servers }: ApiDeps): void {
  typed(app).get(
    '/api/v1/segments/:segment/changes',
    {
      schema: {
        tags: ['segments'],
        summary: 'Entries and exits of a segment',
        description:
          'Newest first, by `recordedAt`, of archived segments too. Each that was there when the first page was read comes once, however ' +
          'many are added meanwhile. With `op` or `reason` a page looks at so many changes at the most: before the last it may be ' +
          'short, or empty.',
        params: SegmentParams,
        querystring: Query,
        response: { 200: pageOf(FeedChange) },
      },
    },
    async ({ params, query }) => {
      const { segmentId, slug } = await segmentOf(sql, params.segment)
      const { from, to, op, reason, limit, cursor } = query
      const { changes, last } = await listChangesOfSegment(servers, segmentId, {
        ...{ op, reason, limit, before: decodeCursor(Key, cursor) },
        fromMs: from === undefined ? undefined : instantAt(from, 'from'),
        toMs: to === undefined ? undefined : instantAt(to, 'to'),
      })
      return {
        data: changes.map((change) => toFeedChange(change, slug)),
        nextCursor: last === undefined ? null : encodeCursor(last),
      }
    },
  )
}
