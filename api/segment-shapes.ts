// What the routes of segments share: how a segment is named in a path, and what it, its rule and its runs look like.
import Type, { type Static } from 'typebox'
import { fail } from '../runtime/errors.ts'
import { openRuns, type RunRow } from '../store/segment-run-reads.ts'
import { readSegment, type SegmentRow } from '../store/segments.ts'
import type { Queryable } from '../store/sql.ts'

/** More than $500 in orders in the last 30 days, and at least 3 of them. */
export const EXAMPLE_RULE = {
  match: {
    k: 'all',
    of: [
      {
        k: 'agg',
        event: 'Order Completed',
        agg: 'sum',
        prop: 'revenue',
        window: { k: 'rolling', last: 'P30D' },
        op: 'gt',
        value: 500,
      },
      {
        k: 'agg',
        event: 'Order Completed',
        agg: 'count',
        window: { k: 'rolling', last: 'P30D' },
        op: 'gte',
        value: 3,
      },
    ],
  },
}
export const GOLD_RULE = { match: { k: 'trait', path: 'plan', op: 'eq', value: 'gold' } }

export const RuleDocument = Type.Record(Type.String(), Type.Unknown(), {
  description:
    'The rule: `match` is a tree of `all`, `any`, `atLeast`, `not` over conditions on traits (`k: "trait"`), dates, ' +
    'counts and amounts of events in a window (`k: "agg"`), first and last events, absence, ordered steps, lists ' +
    'and other segments: see `GET /api/v1/rule-schema` and docs/SEGMENTS.md. A mistake is answered with its path.',
  examples: [EXAMPLE_RULE, GOLD_RULE],
})
export const Author = Type.String({ maxLength: 100, description: 'Absent = the key that asks' })
export const Note = Type.String({ maxLength: 1000, description: 'Why this version' })

export const SegmentParams = Type.Object({
  segment: Type.String({
    minLength: 1,
    maxLength: 63,
    description: 'Slug or number',
    examples: ['gold-plan'],
  }),
})

export const Schedule = Type.Object(
  {
    cron: Type.String({
      maxLength: 100,
      description: 'Five fields: minute, hour, day of month, month, day of week',
      examples: ['0 6 * * *'],
    }),
    timeZone: Type.String({ maxLength: 64, description: 'IANA time zone', examples: ['Europe/Berlin'] }),
  },
  { additionalProperties: false, examples: [{ cron: '0 6 * * *', timeZone: 'Europe/Berlin' }] },
)

const Instant = Type.String({ format: 'date-time' })
export const Run = Type.Object({
  runId: Type.Integer({ examples: [1] }),
  version: Type.Integer({ description: 'Of the segment', examples: [1] }),
  reason: Type.String({ description: '`backfill` or `rule_changed`', examples: ['backfill'] }),
  people: Type.String({ description: '`everybody`, or only those of the `difference` of two versions' }),
  state: Type.String({ description: '`waiting`, `running`, `done`, or `superseded` by a later change' }),
  share: Type.Number({ description: 'How much of it is done, 0 to 1', examples: [1] }),
  evaluated: Type.Integer({ description: 'Profiles', examples: [120] }),
  entered: Type.Integer({ examples: [12] }),
  exited: Type.Integer({ examples: [0] }),
  tookMs: Type.Integer({ description: 'So far, if it goes on' }),
  leftMs: Type.Union([Type.Integer(), Type.Null()], { description: 'About how much longer it takes' }),
  createdAt: Instant,
  finishedAt: Type.Union([Instant, Type.Null()]),
})

export const Segment = Type.Object({
  segmentId: Type.Integer({ examples: [1] }),
  slug: Type.String({ examples: ['gold-plan'] }),
  name: Type.String({ examples: ['Customers on the gold plan'] }),
  state: Type.String({
    description:
      '`draft`: no version is live. `building`: it is live, and whoever was there before is being evaluated. `live`. ' +
      '`retired`: archived',
    examples: ['live'],
  }),
  version: Type.Union([Type.Integer(), Type.Null()], { description: 'The live version', examples: [1] }),
  rule: Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()]),
  draft: Type.Union([Type.Object({ version: Type.Integer(), state: Type.String() }), Type.Null()], {
    description: 'A version that is tried beside the live one: `building`, then `draft`',
  }),
  schedule: Type.Union([Schedule, Type.Null()]),
  run: Type.Union([Run, Type.Null()], { description: 'The run through everybody that goes on' }),
  createdAt: Instant,
  archivedAt: Type.Union([Instant, Type.Null()]),
})

export function shownRun(row: RunRow, nowMs: number) {
  const { segmentId: _, source, createdAt, startedAt, finishedAt, ...rest } = row
  const tookMs = startedAt === null ? 0 : (finishedAt?.getTime() ?? nowMs) - startedAt.getTime()
  const isOn = row.state === 'running' && row.share > 0
  return {
    ...rest,
    people: source,
    tookMs: Math.max(0, tookMs),
    leftMs: isOn ? Math.round((tookMs * (1 - row.share)) / row.share) : null,
    createdAt: createdAt.toISOString(),
    finishedAt: finishedAt?.toISOString() ?? null,
  }
}

export function shownSegment(row: SegmentRow, run: RunRow | undefined, nowMs: number) {
  const { liveVersion, shadow, createdAt, archivedAt, ...rest } = row
  const isDraft = shadow !== null && shadow.status !== 'retired'
  return {
    ...rest,
    state: stateOf(row, run),
    version: liveVersion,
    draft: isDraft ? { version: shadow.version, state: shadow.status } : null,
    run: run === undefined ? null : shownRun(run, nowMs),
    createdAt: createdAt.toISOString(),
    archivedAt: archivedAt?.toISOString() ?? null,
  }
}

function stateOf({ archivedAt, liveVersion }: SegmentRow, run: RunRow | undefined): string {
  if (archivedAt !== null) return 'retired'
  if (liveVersion === null) return 'draft'
  return run?.version === liveVersion ? 'building' : 'live'
}

/** With what goes on for it. */
export async function showSegment(sql: Queryable, row: SegmentRow, nowMs: number) {
  return shownSegment(row, (await openRuns(sql)).get(row.segmentId), nowMs)
}

export type Segment = Static<typeof Segment>
export type Run = Static<typeof Run>

/** The segment of a slug or number; throws `not_found`. */
export async function segmentOf(sql: Queryable, idOrSlug: string): Promise<SegmentRow> {
  const segment = await readSegment(sql, idOrSlug)
  if (segment === undefined) throw noSuchSegment()
  return segment
}

export function noSuchSegment() {
  return fail('not_found', 'there is no segment of this slug or number', { field: 'segment' })
}
