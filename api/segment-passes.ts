// Passes of the segment pool, as each has written its own row.
import Type, { type Static } from 'typebox'
import { fail } from '../runtime/errors.ts'
import type { HttpServer } from '../runtime/http.ts'
import { listPasses, type PassRow } from '../store/segment-passes.ts'
import type { ApiDeps } from './deps.ts'
import { decodeCursor, KeyNumber, KeyTime, PageQuery, pageOf, toPage } from './paging.ts'
import { typed } from './typed.ts'

export const Pass = Type.Object({
  passId: Type.Integer({ examples: [1603] }),
  asOf: Type.String({ format: 'date-time', description: 'The instant that people were decided for' }),
  shards: Type.Array(Type.Integer(), { description: 'Those whose people it was about', examples: [[3]] }),
  reasons: Type.Array(Type.String(), {
    description: 'What people were touched by, as the reasons of changes',
    examples: [['event']],
  }),
  profiles: Type.Integer({ description: 'People that were named', examples: [120] }),
  evaluated: Type.Integer({ description: 'Of these, those with something new that a segment asks for' }),
  segments: Type.Integer({ description: 'Segments and drafts that it was about', examples: [12] }),
  pairsEvaluated: Type.Integer({ description: 'Person and segment, decided' }),
  pairsSkipped: Type.Integer({
    description: 'Person and segment, left out: nothing that the segment asks for was new',
  }),
  entered: Type.Integer({ examples: [4] }),
  exited: Type.Integer({ examples: [0] }),
  tookMs: Type.Number({ description: 'From the beginning of its transaction to just before the commit' }),
  lagMs: Type.Union([Type.Integer(), Type.Null()], {
    description: 'How long the oldest of what it was about had been received; null for runs',
  }),
})
export type Pass = Static<typeof Pass>

const Query = Type.Object(
  {
    ...PageQuery,
    shard: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 1023, description: 'Only passes over it', examples: [0] }),
    ),
  },
  { additionalProperties: false },
)
const Key = Type.Object({ asOfMs: KeyTime, passId: KeyNumber })

export function segmentPassRoutes(app: HttpServer, { servers, config }: ApiDeps): void {
  typed(app).get(
    '/api/v1/segment-passes',
    {
      schema: {
        tags: ['segments'],
        summary: 'Passes of the segment pool',
        description:
          'Newest first, kept for two days. Each pass evaluates the people whom new events or due timers touched, of one or ' +
          'more shards; its row is written in its own transaction, whether somebody entered or left or not.',
        querystring: Query,
        response: { 200: pageOf(Pass) },
      },
    },
    async ({ query }) => {
      if (query.shard !== undefined && query.shard >= config.shards)
        throw fail('invalid_request', `query.shard is over the last one, ${config.shards - 1}`, {
          field: 'shard',
        })
      const rows = await listPasses(servers, {
        shard: query.shard,
        after: decodeCursor(Key, query.cursor),
        limit: query.limit + 1,
      })
      const page = toPage(rows, query.limit, (row) => ({ asOfMs: row.asOf.getTime(), passId: row.passId }))
      return { ...page, data: page.data.map(shown) }
    },
  )
}

function shown({ asOf, pairs, durationMs, ...row }: PassRow): Pass {
  return {
    ...row,
    asOf: asOf.toISOString(),
    pairsEvaluated: pairs,
    pairsSkipped: row.profiles * row.segments - pairs,
    tookMs: Math.round(durationMs * 10) / 10,
  }
}
