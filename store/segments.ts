// Segments and their versions. A change bumps the generation, which every pass reads first: workers pick up new and
// edited rules without a restart.
import { compileRule, PLAN_VERSION, type Plan } from '../domain/segments/plan.ts'
import type { SegmentSchedule } from '../domain/segments/schedule.ts'
import type { Rule } from '../schema/rule.ts'
import { readMetricsFor } from './metrics.ts'
import { bumpGeneration, liveSinceOf } from './segment-generation.ts'
import { askersOf, lockSegments, mustNotBeReferredTo, mustReferWell } from './segment-references.ts'
import { createRun } from './segment-runs.ts'
import { transactionNumber } from './served-memberships.ts'
import { inTransaction, type Queryable, type Sql, type Transaction } from './sql.ts'

export type SegmentRow = {
  segmentId: number
  slug: string
  name: string
  liveVersion: number | null
  rule: Rule | null
  createdAt: Date
  archivedAt: Date | null
  /** A draft, or the version before, evaluated beside the live one. */
  shadow: { version: number; status: VersionStatus } | null
  schedule: SegmentSchedule | null
}
/** `building` = a draft that not everybody has been evaluated for. */
export type VersionStatus = 'building' | 'draft' | 'live' | 'retired'
export type LiveSegment = {
  segmentId: number
  slug: string
  name: string
  version: number
  plan: Plan
  /** The generation in which the version went live; 0 = an earlier one than any that is told. */
  liveSince: number
  /** When the version went live, and why, while its run goes on, through everybody or whom a swap moves; null when it is over. */
  building: {
    sinceMs: number
    reason: 'backfill' | 'rule_changed'
    source: 'everybody' | 'difference'
  } | null
}
/** Told the number of the transaction that changes what is live, before it commits and under the lock of segments. */
export type BeforeChange = (transaction: number) => Promise<void>
export type NewVersion = { rule: Rule; ruleHash: string; author: string; note: string }

/** Creates a live segment; undefined when the slug is taken. */
export async function createSegment(
  sql: Sql,
  segment: { slug: string; name: string } & NewVersion,
  before?: BeforeChange,
): Promise<SegmentRow | undefined> {
  return inTransaction(sql, async (tx) => {
    const segmentId = await insertSegment(tx, segment)
    if (segmentId === undefined) return undefined
    await insertVersion(tx, segmentId, { ...segment, status: 'live' })
    await goLive(tx, { segmentId, slug: segment.slug, version: 1, reason: 'backfill' })
    await before?.(await transactionNumber(tx))
    return readSegment(tx, String(segmentId))
  })
}

/** A segment without any version, under the lock of segments; undefined when the slug is taken. */
export async function insertSegment(
  tx: Transaction,
  { slug, name, rule }: { slug: string; name: string; rule: Rule },
): Promise<number | undefined> {
  await lockSegments(tx)
  await mustReferWell(tx, slug, rule)
  const [row] = await tx<{ segment_id: number }[]>`
    insert into segments (slug, name) values (${slug}, ${name})
    on conflict (slug) do nothing
    returning segment_id`
  return row?.segment_id
}

/** Makes a new version live; undefined when there is no such segment. The old one is kept as retired. */
export async function addVersion(
  sql: Sql,
  segmentId: number,
  version: NewVersion,
  before?: BeforeChange,
): Promise<SegmentRow | undefined> {
  return inTransaction(sql, async (tx) => {
    await lockSegments(tx)
    const slug = await lockSegment(tx, segmentId)
    if (slug === undefined) return undefined
    await mustReferWell(tx, slug, version.rule)
    await tx`update segment_versions set status = 'retired' where segment_id = ${segmentId} and status = 'live'`
    // The way back led to the version before that one; a draft stays.
    await tx`
      update segments s set shadow_version = null
      from segment_versions v
      where s.segment_id = ${segmentId} and v.segment_id = s.segment_id and v.version = s.shadow_version and v.status = 'retired'`
    const number = await insertVersion(tx, segmentId, { ...version, status: 'live' })
    await goLive(tx, { segmentId, slug, version: number, reason: 'rule_changed' })
    await before?.(await transactionNumber(tx))
    return readSegment(tx, String(segmentId))
  })
}

/** Its slug; undefined when there is no such segment. */
export async function lockSegment(tx: Transaction, segmentId: number): Promise<string | undefined> {
  const [row] = await tx<{ slug: string }[]>`
    select slug from segments where segment_id = ${segmentId} for update`
  return row?.slug
}

/** The next version of a segment whose row is locked; returns its number. */
export async function insertVersion(
  tx: Transaction,
  segmentId: number,
  content: NewVersion & { status: VersionStatus },
): Promise<number> {
  // Under the lock of segments, which whoever changes a metric takes too.
  const plan = compileRule(content.rule, await readMetricsFor(tx, [content.rule]))
  const [row] = await tx<{ version: number }[]>`
    insert into segment_versions (segment_id, version, rule, plan, rule_hash, status, author, note)
    select ${segmentId}, coalesce(max(version), 0) + 1, ${tx.json(toJson(content.rule))}, ${tx.json(toJson(plan))},
      ${content.ruleHash}, ${content.status}, ${content.author}, ${content.note}
    from segment_versions where segment_id = ${segmentId}
    returning version`
  return row?.version ?? 0
}

/** The version, which is stored, from now on; a run evaluates everybody by it. */
export async function goLive(
  tx: Transaction,
  live: { segmentId: number; slug: string; version: number; reason: 'backfill' | 'rule_changed' },
): Promise<void> {
  const { segmentId, slug, version, reason } = live
  await tx`
    update segments set live_version = ${version}, archived_at = null where segment_id = ${segmentId}`
  const segmentIds = [segmentId, ...(await askersOf(tx, { slug }))]
  await createRun(tx, { of: { segmentId }, version, reason, source: 'everybody', segmentIds })
  await bumpGeneration(tx, segmentId)
}

/**
 * Takes a segment and its draft out of evaluation; a run ends the memberships. Throws `conflict` while another one refers
 * to it.
 */
export async function archiveSegment(sql: Sql, segmentId: number, before?: BeforeChange): Promise<boolean> {
  return inTransaction(sql, async (tx) => {
    await lockSegments(tx)
    const [row] = await tx<{ slug: string; live_version: number | null; had_shadow: boolean }[]>`
      update segments s set archived_at = now(), shadow_version = null, schedule = null
      from segments before
      where s.segment_id = ${segmentId} and s.archived_at is null and before.segment_id = s.segment_id
      returning s.slug, s.live_version, before.shadow_version is not null as had_shadow`
    if (row === undefined) return false
    await mustNotBeReferredTo(tx, row.slug)
    await tx`
      update segment_versions set status = 'retired' where segment_id = ${segmentId} and status in ('building', 'draft')`
    await createRun(tx, {
      of: { segmentId },
      version: row.live_version ?? 0,
      reason: 'rule_changed',
      // Without a shadow those whom it differs for are its members.
      source: row.had_shadow ? 'everybody' : 'difference',
      segmentIds: [segmentId],
    })
    await bumpGeneration(tx)
    await before?.(await transactionNumber(tx))
    return true
  })
}

/** False when there is no such segment, or it is archived. `schedule` null = none any more. */
export async function setSchedule(
  sql: Queryable,
  segmentId: number,
  schedule: SegmentSchedule | null,
): Promise<boolean> {
  const set = await sql`
    update segments
    set schedule = ${schedule === null ? null : sql.json(schedule)}, schedule_kept_at = clock_timestamp()
    where segment_id = ${segmentId} and archived_at is null`
  return set.count > 0
}

/** Everything that a pass evaluates: what is live, and shadows, whose numbers are negative. */
export async function evaluatedSegments(sql: Queryable): Promise<LiveSegment[]> {
  const rows = await sql<
    {
      segment_id: number
      slug: string
      name: string
      version: number
      rule: Rule
      plan: Plan
      is_live: boolean
      live_since: number
      building_since: Date | null
      building_reason: 'backfill' | 'rule_changed'
      building_source: 'everybody' | 'difference'
    }[]
  >`
    select s.segment_id, s.slug, s.name, v.version, v.rule, v.plan, v.version = s.live_version as is_live,
      ${liveSinceOf(sql)} as live_since,
      r.created_at as building_since, r.reason as building_reason, r.source as building_source
    from segments s
    join segment_versions v on v.segment_id = s.segment_id and v.version in (s.live_version, s.shadow_version)
    left join segment_runs r on r.segment_id = s.segment_id and r.state in ('waiting', 'running')
      and v.version = s.live_version and s.segment_id = any(r.segment_ids)
    where s.archived_at is null
    order by s.segment_id`
  const isOld = (row: { plan: Plan }) => row.plan.planVersion !== PLAN_VERSION
  const old = rows.filter(isOld).map((row) => row.rule)
  const metrics = await readMetricsFor(sql, old)
  return rows.map((row) => ({
    segmentId: row.is_live ? row.segment_id : -row.segment_id,
    building:
      row.building_since === null
        ? null
        : { sinceMs: row.building_since.getTime(), reason: row.building_reason, source: row.building_source },
    slug: row.slug,
    name: row.name,
    version: row.version,
    liveSince: row.live_since,
    // Of an earlier version of Millrace: what is stored stays, the rule means the same.
    plan: isOld(row) ? compileRule(row.rule, metrics) : row.plan,
  }))
}

export async function liveSegments(sql: Queryable): Promise<LiveSegment[]> {
  return (await evaluatedSegments(sql)).filter((segment) => segment.segmentId > 0)
}

export async function listSegments(sql: Queryable): Promise<SegmentRow[]> {
  const rows = await sql<Record<string, unknown>[]>`
    ${segmentColumns(sql)}
    where s.archived_at is null
    order by s.segment_id`
  return rows.map(toSegment)
}

const segmentColumns = (sql: Queryable) => sql`
  select s.segment_id, s.slug, s.name, s.live_version, v.rule, s.created_at, s.archived_at, s.schedule,
    shadow.version as shadow_version, shadow.status as shadow_status
  from segments s
  left join segment_versions v on v.segment_id = s.segment_id and v.version = s.live_version
  left join segment_versions shadow on shadow.segment_id = s.segment_id and shadow.version = s.shadow_version`

/** By number or slug. */
export async function readSegment(sql: Queryable, idOrSlug: string): Promise<SegmentRow | undefined> {
  const rows = await sql<Record<string, unknown>[]>`
    ${segmentColumns(sql)}
    where s.slug = ${idOrSlug} or s.segment_id::text = ${idOrSlug}
    limit 1`
  return rows.map(toSegment)[0]
}

function toSegment(row: Record<string, unknown>): SegmentRow {
  return {
    segmentId: Number(row.segment_id),
    slug: String(row.slug),
    name: String(row.name),
    liveVersion: row.live_version === null ? null : Number(row.live_version),
    rule: row.rule as Rule | null,
    createdAt: row.created_at as Date,
    archivedAt: row.archived_at as Date | null,
    shadow:
      row.shadow_version === null
        ? null
        : { version: Number(row.shadow_version), status: row.shadow_status as VersionStatus },
    schedule: row.schedule as SegmentSchedule | null,
  }
}

/** The driver's JSON type is narrower than ours; rules and plans are plain JSON by construction. */
function toJson(value: Rule | Plan): Parameters<Sql['json']>[0] {
  return value as unknown as Parameters<Sql['json']>[0]
}
