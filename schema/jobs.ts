// Payloads of the queues below persist: ids and versions only, never personal data.
import Type, { type Static } from 'typebox'

export const CHANNELS = ['push', 'email', 'webhook', 'sms'] as const
export type Channel = (typeof CHANNELS)[number]

const BatchId = Type.String({ pattern: '^[A-Za-z0-9_-]{8,80}$' })

/** Where a chunk of a run stands: `after` = the profile before its first one, null at the beginning of the part. */
export const SegmentRunPart = Type.Object({
  runId: Type.Integer({ minimum: 1 }),
  part: Type.Integer({ minimum: 0, maximum: 15 }),
  /** Buckets of the part, both included. */
  from: Type.Integer({ minimum: 0, maximum: 1023 }),
  to: Type.Integer({ minimum: 0, maximum: 1023 }),
  after: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  /** What is evaluated, nothing else; negative = the shadow of that segment. */
  segmentIds: Type.Array(Type.Integer(), { maxItems: 20000 }),
  /** Everybody, or only those who are in one of a segment and its shadow. */
  source: Type.Union([Type.Literal('everybody'), Type.Literal('difference')]),
  reason: Type.Union([Type.Literal('backfill'), Type.Literal('rule_changed')]),
})
export type SegmentRunPart = Static<typeof SegmentRunPart>

/** Profiles of one shard that a batch touched; `reason` says what an entry or exit found by it will be put down to. */
export const TouchedUsers = Type.Object({
  v: Type.Literal(1),
  batchId: BatchId,
  shard: Type.Integer({ minimum: 0, maximum: 1023 }),
  reason: Type.Union([
    Type.Literal('event'),
    Type.Literal('time'),
    Type.Literal('late'),
    Type.Literal('merged'),
    Type.Literal('backfill'),
    Type.Literal('rule_changed'),
    Type.Literal('erased'),
  ]),
  profileIds: Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1, maxItems: 20000 }),
  /**
   * For each of `profileIds` the numbers of the event names behind it, so that an event no rule asks for costs no
   * evaluation. Empty = evaluate whatever it was; absent = so for all.
   */
  eventIds: Type.Optional(Type.Array(Type.Array(Type.Integer({ minimum: 0 })), { maxItems: 20000 })),
  /** The profiles are a chunk of a run: who has evaluated them sends the next one, or closes the part behind the last. */
  run: Type.Optional(Type.Object({ ...SegmentRunPart.properties, isLast: Type.Boolean() })),
  /** Earliest receipt of the events behind it (ms), for event-to-membership latency. */
  receivedAt: Type.Number(),
})
export type TouchedUsers = Static<typeof TouchedUsers>

/** One message to one person: everything else (address, template, state) is read at send time. */
export const DeliveryJob = Type.Object({
  v: Type.Literal(1),
  channel: Type.Enum([...CHANNELS]),
  /** Natural key of the delivery: campaign, entry (membership change) and channel. */
  deliveryKey: Type.String({ pattern: '^[A-Za-z0-9_-]{3,120}$' }),
  campaignId: Type.Integer({ minimum: 1 }),
  profileId: Type.Integer({ minimum: 0 }),
  changeId: Type.Integer({ minimum: 1 }),
})
export type DeliveryJob = Static<typeof DeliveryJob>

/** A clock task of the schedule pool; when each is due stands in workers/schedule/tasks.ts. */
export const ScheduleTask = Type.Object({
  v: Type.Literal(1),
  task: Type.Union([
    Type.Literal('partitions'),
    Type.Literal('retention'),
    Type.Literal('close-sessions'),
    Type.Literal('user-aggregates'),
    Type.Literal('segment-drift'),
    Type.Literal('metric-cuts'),
    Type.Literal('sweep'),
  ]),
})
export type ScheduleTask = Static<typeof ScheduleTask>
