// A rule that is tried on everybody before it counts. A draft is evaluated beside the live version as its shadow: by the run
// through everybody, and from then on with every event and timer. Publishing swaps the two, and the version before stays the
// shadow, so that going back is the same swap. Only whom the two differ for is evaluated again.
import { fail } from '../runtime/errors.ts'
import { bumpGeneration } from './segment-generation.ts'
import { askersOf, lockSegments, mustReferWell } from './segment-references.ts'
import { createRun } from './segment-runs.ts'
import {
  type BeforeChange,
  insertSegment,
  insertVersion,
  lockSegment,
  type NewVersion,
  readSegment,
  type SegmentRow,
} from './segments.ts'
import { transactionNumber } from './served-memberships.ts'
import { inTransaction, type Queryable, type Sql, type Transaction } from './sql.ts'

/** The version before costs an evaluation beside the live one for so long. */
const WAY_BACK_DAYS = 7

/** Segments whose way back is given up. */
export async function overdueShadows(sql: Queryable): Promise<number[]> {
  const rows = await sql<{ segment_id: number }[]>`
    select segment_id from segments where shadow_version is not null and shadow_until < now()`
  return rows.map((row) => row.segment_id)
}

/** A new segment that is only a draft; undefined when the slug is taken. */
export async function createDraftSegment(
  sql: Sql,
  segment: { slug: string; name: string } & NewVersion,
): Promise<SegmentRow | undefined> {
  return inTransaction(sql, async (tx) => {
    const segmentId = await insertSegment(tx, segment)
    return segmentId === undefined ? undefined : evaluateBeside(tx, segmentId, segment)
  })
}

/**
 * Makes a draft, in place of the one before or of the way back. The members of the shadow before have to be cleared
 * (store/segment-difference.ts) first. Undefined when there is no such segment.
 */
export async function saveDraft(
  sql: Sql,
  segmentId: number,
  version: NewVersion,
): Promise<SegmentRow | undefined> {
  return inTransaction(sql, async (tx) => {
    await lockSegments(tx)
    const slug = await lockSegment(tx, segmentId)
    if (slug === undefined) return undefined
    await mustReferWell(tx, slug, version.rule)
    await retireShadow(tx, segmentId)
    return evaluateBeside(tx, segmentId, version)
  })
}

async function evaluateBeside(tx: Transaction, segmentId: number, content: NewVersion): Promise<SegmentRow> {
  const version = await insertVersion(tx, segmentId, { ...content, status: 'building' })
  await tx`
    update segments
    set shadow_version = ${version}, shadow_until = null, archived_at = null,
      -- what was archived does not come back with a draft
      live_version = case when archived_at is null then live_version end
    where segment_id = ${segmentId}`
  const run = await createRun(tx, {
    ...{ of: { segmentId }, version, reason: 'rule_changed', source: 'everybody' },
    segmentIds: [-segmentId],
  })
  if (run === undefined)
    await tx`
      update segment_versions set status = 'draft' where segment_id = ${segmentId} and version = ${version}`
  await bumpGeneration(tx)
  return mustRead(tx, segmentId)
}

/** False when there was no shadow. */
export async function dropShadow(sql: Sql, segmentId: number): Promise<boolean> {
  return inTransaction(sql, async (tx) => {
    await lockSegments(tx)
    const dropped = await retireShadow(tx, segmentId)
    await tx`
      update segment_runs set state = 'superseded', finished_at = clock_timestamp()
      where segment_id = ${segmentId} and state in ('waiting', 'running') and segment_ids = array[${-segmentId}::int]`
    await bumpGeneration(tx)
    return dropped
  })
}

async function retireShadow(tx: Transaction, segmentId: number): Promise<boolean> {
  await tx`
    update segment_versions set status = 'retired' where segment_id = ${segmentId} and status in ('building', 'draft')`
  const dropped = await tx`
    update segments set shadow_version = null where segment_id = ${segmentId} and shadow_version is not null`
  return dropped.count > 0
}

/** Throws `conflict` while there is no draft, or not everybody has been evaluated for it. */
export function publishDraft(sql: Sql, segmentId: number, before?: BeforeChange): Promise<SegmentRow> {
  return swap(sql, segmentId, before, 'draft', {
    none: 'there is no draft to publish',
    building: 'the draft is still being evaluated: wait until its state is draft',
  })
}

/** Back to the version before the last one that was published. Throws `conflict` when it is not kept. */
export function rollBack(sql: Sql, segmentId: number, before?: BeforeChange): Promise<SegmentRow> {
  return swap(sql, segmentId, before, 'retired', {
    none: 'the version before is not kept any more: make it a draft and publish that',
    building: 'there is a draft in the place of the version before',
  })
}

async function swap(
  sql: Sql,
  segmentId: number,
  before: BeforeChange | undefined,
  wanted: 'draft' | 'retired',
  refusals: { none: string; building: string },
): Promise<SegmentRow> {
  return inTransaction(sql, async (tx) => {
    await lockSegments(tx)
    const slug = await lockSegment(tx, segmentId)
    const { shadow, liveVersion } = await mustRead(tx, segmentId)
    if (slug === undefined || shadow === null) throw fail('conflict', refusals.none)
    if (shadow.status !== wanted)
      throw fail(
        'conflict',
        shadow.status === 'building' || wanted === 'retired' ? refusals.building : refusals.none,
      )
    const next = await readVersion(tx, segmentId, shadow.version)
    if (next === undefined) throw new Error(`version ${shadow.version} of segment ${segmentId} is not there`)
    // What it refers to may have gone since it was written.
    await mustReferWell(tx, slug, next.rule)
    await tx`
      update segment_versions set status = case when version = ${shadow.version} then 'live' else 'retired' end
      where segment_id = ${segmentId} and version in (${shadow.version}, ${liveVersion ?? 0})`
    await tx`
      update segments
      set live_version = ${shadow.version}, shadow_version = ${liveVersion}, shadow_until = now() + ${WAY_BACK_DAYS} * interval '1 day'
      where segment_id = ${segmentId}`
    const segmentIds = [segmentId, ...(await askersOf(tx, { slug })), -segmentId]
    const reason = liveVersion === null ? 'backfill' : 'rule_changed'
    await createRun(tx, {
      of: { segmentId },
      version: shadow.version,
      reason,
      source: 'difference',
      segmentIds,
    })
    await bumpGeneration(tx, segmentId)
    await before?.(await transactionNumber(tx))
    return mustRead(tx, segmentId)
  })
}

async function mustRead(tx: Transaction, segmentId: number): Promise<SegmentRow> {
  const row = await readSegment(tx, String(segmentId))
  if (row === undefined) throw new Error(`segment ${segmentId} is locked, but not there`)
  return row
}

export type VersionRow = {
  version: number
  status: string
  rule: NewVersion['rule']
  author: string
  note: string
  createdAt: Date
}

/** Newest first. */
export async function listVersions(
  sql: Queryable,
  segmentId: number,
  options: { before: number | undefined; limit: number },
): Promise<VersionRow[]> {
  return sql<VersionRow[]>`
    select version, status, rule, author, note, created_at as "createdAt"
    from segment_versions
    where segment_id = ${segmentId} ${options.before === undefined ? sql`` : sql`and version < ${options.before}`}
    order by version desc
    limit ${options.limit}`
}

export async function readVersion(
  sql: Queryable,
  segmentId: number,
  version: number,
): Promise<VersionRow | undefined> {
  const [row] = await listVersions(sql, segmentId, { before: version + 1, limit: 1 })
  return row?.version === version ? row : undefined
}
