// Runs as operators see them, and runs that somebody or a schedule asks for.
import { isDue, type SegmentSchedule } from '../domain/segments/schedule.ts'
import { lockSegments } from './segment-references.ts'
import { createRun } from './segment-runs.ts'
import { inTransaction, type Queryable, type Sql } from './sql.ts'

export type RunRow = {
  runId: number
  segmentId: number
  version: number
  reason: string
  source: string
  state: 'waiting' | 'running' | 'done' | 'superseded'
  /** 0 to 1: how much of all buckets lies behind the cursors. */
  share: number
  evaluated: number
  entered: number
  exited: number
  createdAt: Date
  startedAt: Date | null
  finishedAt: Date | null
}

/** Buckets are alike large: how far a cursor has come in those of its part is how much of them is done. */
const runs = (sql: Queryable) => sql`
  select r.run_id as "runId", r.segment_id as "segmentId", r.version, r.reason, r.source, r.state, p.share,
    p.evaluated, p.entered, p.exited, r.created_at as "createdAt", r.started_at as "startedAt", r.finished_at as "finishedAt"
  from segment_runs r
  cross join lateral (
    select sum(evaluated)::int as evaluated, sum(entered)::int as entered, sum(exited)::int as exited,
      avg(case when is_done then 1 when after_profile_id is null then 0
        else ((after_profile_id & 1023) - bucket_from)::float8 / (bucket_to - bucket_from + 1) end)::float8 as share
    from segment_run_parts
    where run_id = r.run_id
  ) p`

/** Newest first. */
export async function listRuns(
  sql: Queryable,
  segmentId: number,
  options: { before: number | undefined; limit: number },
): Promise<RunRow[]> {
  return sql<RunRow[]>`
    ${runs(sql)}
    where r.segment_id = ${segmentId} ${options.before === undefined ? sql`` : sql`and r.run_id < ${options.before}`}
    order by r.run_id desc
    limit ${options.limit}`
}

/** Of all segments, by number: each has one at most. */
export async function openRuns(sql: Queryable): Promise<Map<number, RunRow>> {
  const rows = await sql<RunRow[]>`
    ${runs(sql)}
    where r.segment_id is not null and r.state in ('waiting', 'running')`
  return new Map(rows.map((row) => [row.segmentId, row]))
}

/** Has everybody evaluated for a segment; undefined when it is not live, or nobody is there. */
export async function runSegment(sql: Sql, segmentId: number): Promise<number | undefined> {
  return inTransaction(sql, async (tx) => {
    await lockSegments(tx)
    const [row] = await tx<{ live_version: number }[]>`
      select live_version from segments
      where segment_id = ${segmentId} and archived_at is null and live_version is not null
      for update`
    if (row === undefined) return undefined
    return createRun(tx, {
      ...{ of: { segmentId }, version: row.live_version, reason: 'backfill', source: 'everybody' },
      segmentIds: [segmentId],
    })
  })
}

/** Plans the runs of schedules that have come due; returns how many. Each instant is kept by one process. */
export async function runDueSchedules(sql: Sql, nowMs: number): Promise<number> {
  const rows = await sql<{ segment_id: number; schedule: SegmentSchedule; kept: Date }[]>`
    select segment_id, schedule, date_trunc('milliseconds', schedule_kept_at) as kept
    from segments
    where schedule is not null and archived_at is null and live_version is not null`
  let planned = 0
  for (const { segment_id, schedule, kept } of rows) {
    if (!isDue(schedule, kept.getTime(), nowMs)) continue
    const mine = await sql`
      update segments set schedule_kept_at = at_ms(${nowMs})
      where segment_id = ${segment_id} and date_trunc('milliseconds', schedule_kept_at) = ${kept}`
    if (mine.count === 0) continue
    await runSegment(sql, segment_id)
    planned += 1
  }
  return planned
}
