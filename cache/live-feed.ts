// The event debugger's feed: the last verdicts of each source in a capped Redis stream. Written by collector/feed.ts a
// few times a second, read by the debugger page and `millrace tail`. Holds no payloads and no whole user ids.
import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import type { Cache } from './connect.ts'

/** Entries kept a source. */
const KEPT = 500
/** A source that is silent for a day has an empty feed. */
const KEPT_SECONDS = 86_400

export const Verdict = Type.Object({
  /** When it was judged, ms since the epoch. */
  at: Type.Number(),
  verdict: Type.Union([Type.Literal('accepted'), Type.Literal('refused')]),
  type: Type.Optional(Type.String()),
  /** Event, page or screen name. */
  name: Type.Optional(Type.String()),
  messageId: Type.Optional(Type.String()),
  /** Masked: enough to tell two people apart, not to know one. */
  user: Type.Optional(Type.String()),
  code: Type.Optional(Type.String()),
  field: Type.Optional(Type.String()),
  reason: Type.Optional(Type.String()),
  /** How many more of this verdict were not shown before this one, because there were too many. */
  skipped: Type.Optional(Type.Integer()),
})
export type Verdict = Static<typeof Verdict>
export type FeedEntry = Verdict & { id: string }

/** Appends verdicts, one round trip a source side by side. Rejects like any command; the caller decides that it does not matter. */
export async function recordVerdicts(cache: Cache, bySource: Map<number, Verdict[]>): Promise<void> {
  await Promise.all(
    [...bySource].map(([sourceId, verdicts]) => {
      const pipeline = cache.redis.pipeline()
      const key = cache.key('feed', sourceId)
      for (const verdict of verdicts) {
        pipeline.xadd(key, 'MAXLEN', '~', KEPT, '*', 'v', JSON.stringify(verdict))
      }
      return pipeline.expire(key, KEPT_SECONDS).exec()
    }),
  )
}

/**
 * Entries of a source after an id, oldest first, at most `limit`; without an id the newest `limit`. Never blocks, so it
 * may share a connection: followers ask again every half second.
 */
export async function readFeed(
  cache: Cache,
  sourceId: number,
  afterId: string | undefined,
  limit: number,
): Promise<FeedEntry[]> {
  const key = cache.key('feed', sourceId)
  const rows =
    afterId === undefined
      ? (await cache.redis.xrevrange(key, '+', '-', 'COUNT', limit)).reverse()
      : await cache.redis.xrange(key, `(${afterId}`, '+', 'COUNT', limit)
  return rows.flatMap(([id, fields]) => {
    const verdict: unknown = JSON.parse(fields[1] ?? 'null')
    return Value.Check(Verdict, verdict) ? [{ id, ...verdict }] : []
  })
}

/** Whether a text is an id of `readFeed`, e.g. from a client's Last-Event-ID. */
export function isFeedId(text: string): boolean {
  return /^\d{1,16}-\d{1,16}$/.test(text)
}
