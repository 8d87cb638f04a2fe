// What a feed says of one membership change, and reading the next ones of them.
import Type, { type Static } from 'typebox'
import type { Position } from '../../domain/feed-position.ts'
import { ChangeMetrics } from '../../schema/change-metric.ts'
import { type RecordedChange, readChangesAfter } from '../../store/feed.ts'
import { slugsOf } from '../../store/profile-history.ts'
import type { Servers } from '../../store/servers.ts'

export const CHANGE_REASONS = [
  'event',
  'time',
  'late',
  'merged',
  'erased',
  'rule_changed',
  'backfill',
] as const

export const FeedChange = Type.Object({
  id: Type.Integer({
    description: 'Of this change alone, however often it is delivered',
    examples: [4711],
  }),
  segment: Type.Integer({ description: 'Number of the segment', examples: [1] }),
  slug: Type.String({ examples: ['gold-plan'] }),
  profileId: Type.Integer({ examples: [1234567] }),
  userId: Type.Union([Type.String(), Type.Null()], {
    description: 'null = nobody has logged in yet',
    examples: ['user-42'],
  }),
  op: Type.Enum(['enter', 'exit']),
  reason: Type.String({
    description: 'event, time, late, merged, erased, rule_changed or backfill',
    examples: ['event'],
  }),
  version: Type.Integer({ description: 'Of the rule; 0 = the segment was archived' }),
  effectiveAt: Type.String({ format: 'date-time', description: 'When the rule turned' }),
  recordedAt: Type.String({ format: 'date-time', description: 'When it was noticed' }),
  metrics: ChangeMetrics,
})
export type FeedChange = Static<typeof FeedChange>

/** Segments' slugs, which never change, as a process has met them. */
export type Slugs = Map<number, string>

export type FeedSlice = {
  changes: FeedChange[]
  position: Position
  isWhole: boolean
  failure?: unknown
}

/** The next changes after a position, at most `limit` of each writer lock. Throws when a slug cannot be read. */
export async function readFeed(
  { servers, slugs }: { servers: Servers; slugs: Slugs },
  position: Position,
  limit: number,
): Promise<FeedSlice> {
  const { changes, ...read } = await readChangesAfter(servers, position, limit)
  const unknown = new Set(changes.map((one) => one.segmentId).filter((id) => !slugs.has(id)))
  if (unknown.size > 0)
    for (const [id, slug] of await slugsOf(servers.home, [...unknown])) slugs.set(id, slug)
  return {
    ...read,
    changes: changes.map((change) => toFeedChange(change, slugs.get(change.segmentId) ?? '')),
  }
}

/** `slug` = '' when it is not known. */
export function toFeedChange(change: RecordedChange, slug: string): FeedChange {
  return {
    id: change.id,
    segment: change.segmentId,
    slug: slug || String(change.segmentId),
    profileId: change.profileId,
    userId: change.userId,
    op: change.op,
    reason: change.reason,
    version: change.version,
    effectiveAt: change.effectiveAt.toISOString(),
    recordedAt: change.recordedAt.toISOString(),
    metrics: change.metrics,
  }
}

const texts = new WeakMap<FeedChange, string>()

/** As JSON, written once however many listen. */
export function textOf(change: FeedChange): string {
  let text = texts.get(change)
  if (text === undefined) {
    text = JSON.stringify(change)
    texts.set(change, text)
  }
  return text
}
