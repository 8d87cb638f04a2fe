// Segments and their versions. A change bumps the generation, which every pass reads first: workers pick up new and
// edited rules without a restart.
import { compileRule, PLAN_VERSION, type Plan } from '../domain/segments/plan.ts'
import type { Rule } from '../schema/rule.ts'
import { lockSegments, mustNotBeReferredTo, mustReferWell } from './segment-references.ts'
import { inTransaction, type Queryable, type Sql, type Transaction } from './sql.ts'

export type SegmentRow = {
  segmentId: number
  slug: string
  name: string
  liveVersion: number | null
  rule: Rule | null
  createdAt: Date
  archivedAt: Date | null
}
export type LiveSegment = { segmentId: number; slug: string; version: number; plan: Plan }
export type NewVersion = { rule: Rule; plan: Plan; ruleHash: string; author: string; note: string }

/** Creates a live segment; undefined when the slug is taken. */
export async function createSegment(
  sql: Sql,
  segment: { slug: string; name: string } & NewVersion,
): Promise<SegmentRow | undefined> {
  return inTransaction(sql, async (tx) => {
    await lockSegments(tx)
    await mustReferWell(tx, segment.slug, segment.rule)
    const [row] = await tx<{ segment_id: number }[]>`
      insert into segments (slug, name) values (${segment.slug}, ${segment.name})
      on conflict (slug) do nothing
      returning segment_id`
    if (row === undefined) return undefined
    await goLive(tx, row.segment_id, 1, segment)
    return readSegment(tx, String(row.segment_id))
  })
}

/** Makes a new version live; undefined when there is no such segment. The old one is kept as retired. */
export async function addVersion(
  sql: Sql,
  segmentId: number,
  version: NewVersion,
): Promise<SegmentRow | undefined> {
  return inTransaction(sql, async (tx) => {
    await lockSegments(tx)
    const [row] = await tx<{ slug: string; live_version: number | null }[]>`
      select slug, live_version from segments where segment_id = ${segmentId} for update`
    if (row === undefined) return undefined
    await mustReferWell(tx, row.slug, version.rule)
    await tx`update segment_versions set status = 'retired' where segment_id = ${segmentId} and status = 'live'`
    await goLive(tx, segmentId, (row.live_version ?? 0) + 1, version)
    return readSegment(tx, String(segmentId))
  })
}

async function goLive(
  tx: Transaction,
  segmentId: number,
  version: number,
  content: NewVersion,
): Promise<void> {
  await tx`
    insert into segment_versions (segment_id, version, rule, plan, rule_hash, status, author, note)
    values (${segmentId}, ${version}, ${tx.json(toJson(content.rule))}, ${tx.json(toJson(content.plan))}, ${content.ruleHash},
      'live', ${content.author}, ${content.note})`
  await tx`
    update segments set live_version = ${version}, archived_at = null where segment_id = ${segmentId}`
  await markBackfill(tx, segmentId)
  await bumpGeneration(tx)
}

/**
 * Takes a segment out of evaluation. Its memberships end with the next evaluation of each member. Throws `conflict` while
 * another one refers to it.
 */
export async function archiveSegment(sql: Sql, segmentId: number): Promise<boolean> {
  return inTransaction(sql, async (tx) => {
    await lockSegments(tx)
    const [row] = await tx<{ slug: string }[]>`
      update segments set archived_at = now() where segment_id = ${segmentId} and archived_at is null
      returning slug`
    if (row === undefined) return false
    await mustNotBeReferredTo(tx, row.slug)
    await markBackfill(tx, segmentId)
    await bumpGeneration(tx)
    return true
  })
}

/** Committed with the change, so that a process that dies before it has named everybody leaves a trace for the sweep. */
async function markBackfill(tx: Transaction, segmentId: number): Promise<void> {
  await tx`
    update segments
    set backfill_change = case when archived_at is null then 'v' else 'a' end || live_version,
      backfill_since = clock_timestamp()
    where segment_id = ${segmentId} and exists (select 1 from identities)`
}

async function bumpGeneration(tx: Transaction): Promise<void> {
  await tx`
    insert into settings (name, value) values ('segments_generation', '1')
    on conflict (name) do update set value = to_jsonb((settings.value #>> '{}')::bigint + 1)`
}

/** Changes with every change of a segment. */
export async function segmentsGeneration(sql: Queryable): Promise<string> {
  const [row] = await sql<{ generation: string }[]>`
    select value #>> '{}' as generation from settings where name = 'segments_generation'`
  return row?.generation ?? '0'
}

/** Everything that a pass evaluates. */
export async function liveSegments(sql: Queryable): Promise<LiveSegment[]> {
  const rows = await sql<{ segment_id: number; slug: string; version: number; rule: Rule; plan: Plan }[]>`
    select s.segment_id, s.slug, v.version, v.rule, v.plan
    from segments s
    join segment_versions v on v.segment_id = s.segment_id and v.version = s.live_version
    where s.archived_at is null
    order by s.segment_id`
  return rows.map((row) => ({
    segmentId: row.segment_id,
    slug: row.slug,
    version: row.version,
    // Of an earlier version of Millrace: what is stored stays, the rule means the same.
    plan: row.plan.planVersion === PLAN_VERSION ? row.plan : compileRule(row.rule),
  }))
}

export async function listSegments(sql: Queryable): Promise<SegmentRow[]> {
  const rows = await sql<Record<string, unknown>[]>`
    select s.segment_id, s.slug, s.name, s.live_version, v.rule, s.created_at, s.archived_at
    from segments s
    left join segment_versions v on v.segment_id = s.segment_id and v.version = s.live_version
    where s.archived_at is null
    order by s.segment_id`
  return rows.map(toSegment)
}

/** By number or slug. */
export async function readSegment(sql: Queryable, idOrSlug: string): Promise<SegmentRow | undefined> {
  const rows = await sql<Record<string, unknown>[]>`
    select s.segment_id, s.slug, s.name, s.live_version, v.rule, s.created_at, s.archived_at
    from segments s
    left join segment_versions v on v.segment_id = s.segment_id and v.version = s.live_version
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
  }
}

/** The driver's JSON type is narrower than ours; rules and plans are plain JSON by construction. */
function toJson(value: Rule | Plan): Parameters<Sql['json']>[0] {
  return value as unknown as Parameters<Sql['json']>[0]
}
