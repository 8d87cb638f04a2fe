// Runs of clock tasks, a row each: what operators read, and the lock that keeps two processes from running one task at
// the same time. A run holds its row by a lease that it extends; when its process dies, the next run takes over.
import type { Queryable } from './sql.ts'

export type Counts = Record<string, number>

/** Begins a run for `leaseMs`; undefined while another process runs the task. Needs the unique index schedule_runs_running. */
export async function beginRun(sql: Queryable, task: string, leaseMs: number): Promise<number | undefined> {
  await sql`
    update schedule_runs
    set finished_at = clock_timestamp(), outcome = 'failed', error = 'its process died'
    where task = ${task} and finished_at is null and lease_until < clock_timestamp()`
  const [row] = await sql<{ run_id: number }[]>`
    insert into schedule_runs (task, started_at, lease_until)
    values (${task}, clock_timestamp(), clock_timestamp() + ${leaseMs}::int * interval '1 millisecond')
    on conflict (task) where finished_at is null do nothing
    returning run_id`
  return row?.run_id
}

/** False when the run was taken over: its process was silent for longer than the lease. */
export async function extendRun(sql: Queryable, runId: number, leaseMs: number): Promise<boolean> {
  const extended = await sql`
    update schedule_runs
    set lease_until = clock_timestamp() + ${leaseMs}::int * interval '1 millisecond'
    where run_id = ${runId} and finished_at is null`
  return extended.count > 0
}

export async function finishRun(
  sql: Queryable,
  runId: number,
  result: { outcome: 'done' | 'failed'; counts: Counts; error?: string },
): Promise<void> {
  await sql`
    update schedule_runs
    set finished_at = clock_timestamp(), outcome = ${result.outcome}, counts = ${sql.json(result.counts)},
      error = ${result.error ?? null}
    where run_id = ${runId} and finished_at is null`
}

/** A run that is over when it is told of; for ticks, which need no lock. */
export async function recordRun(
  sql: Queryable,
  run: { task: string; startedAt: Date; counts: Counts },
): Promise<void> {
  await sql`
    insert into schedule_runs (task, started_at, finished_at, outcome, counts)
    values (${run.task}, ${run.startedAt}, clock_timestamp(), 'done', ${sql.json(run.counts)})`
}

/** When each task last succeeded (ms); tasks that never did are absent. */
export async function lastRuns(sql: Queryable): Promise<Map<string, number>> {
  // From task to task along the index schedule_runs_task, each read from its end: frequent tasks have 100,000 rows.
  const rows = await sql<{ task: string; started_at: Date }[]>`
    with recursive tasks as (
      (select task from schedule_runs order by task limit 1)
      union all
      select (select r.task from schedule_runs r where r.task > t.task order by r.task limit 1)
      from tasks t
      where t.task is not null
    )
    select t.task, last.started_at
    from tasks t
    cross join lateral (
      select r.started_at from schedule_runs r
      where r.task = t.task and r.outcome = 'done'
      order by r.run_id desc
      limit 1
    ) last`
  return new Map(rows.map((row) => [row.task, row.started_at.getTime()]))
}

/** Drops finished runs that began before a time; `tasks` narrows to frequent ones. Returns how many. */
export async function deleteRunsBefore(sql: Queryable, before: Date, tasks?: string[]): Promise<number> {
  const deleted = await sql`
    delete from schedule_runs
    where finished_at is not null and started_at < ${before}
      ${tasks === undefined ? sql`` : sql`and task = any(${tasks}::text[])`}`
  return deleted.count
}
