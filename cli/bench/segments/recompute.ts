// Everybody decided anew: by a run of the product through the queues and the segment pool, and by one statement written by
// hand. Both must find the same members. The statement writes members alone; the engine also writes every entry with its
// reason and the timer that says when it ends, and hands the entries on.
import { startRuns } from '../../../queues/segment-runs.ts'
import { listRuns, type RunRow } from '../../../store/segment-run-reads.ts'
import { createRun, segmentRuns } from '../../../store/segment-runs.ts'
import { inTransaction } from '../../../store/sql.ts'
import { type BenchRule, handWritten } from './rules.ts'
import { type Cpu, HOUR_MS, type SegmentBench, segmentIdsOf, whenDrained, withCpu } from './world.ts'

export type Recompute = {
  people: number
  /** Profiles × rules. */
  pairs: number
  /** Of the run that writes every membership. */
  build: Timing
  /** Of the next one, which finds everybody as the first one left them. */
  again: Timing
  sqlSeconds: number
  members: number
}
export type Timing = { seconds: number; cpu: Cpu }

/** All of `rules` are live. Throws when the members differ. */
export async function fullRecompute(bench: SegmentBench, rules: BenchRule[]): Promise<Recompute> {
  const first = await withCpu(bench, () => runThrough(bench))
  bench.say('the same by one statement, three times')
  const sqlSeconds = await byHand(bench, rules)
  const members = await compareMembers(bench, rules)
  await settleTables(bench.sql)
  bench.say('once more, with nothing to change')
  const second = await withCpu(bench, () => runThrough(bench))
  const people = first.result.evaluated
  return {
    ...{ people, pairs: people * rules.length, members },
    ...{ build: timingOf(first), again: timingOf(second), sqlSeconds },
  }
}

function timingOf({ result, cpu }: { result: RunRow; cpu: Cpu }): Timing {
  return { seconds: (Number(result.finishedAt) - Number(result.createdAt)) / 1000, cpu }
}

/** What a million rows at once leave to do, which a deployment that has grown has behind it. */
async function settleTables(sql: SegmentBench['sql']): Promise<void> {
  for (const table of ['memberships', 'membership_changes', 'segment_timers'])
    await sql`vacuum (analyze) ${sql(table)}`
}

/** One run for all segments, as the change of a list has all those evaluated that ask about it. */
async function runThrough(bench: SegmentBench): Promise<RunRow> {
  const { sql, servers, sender, stack, users } = bench
  const segmentIds = [...(await segmentIdsOf(bench)).values()]
  const newest = Math.max(...segmentIds)
  await inTransaction(sql, (tx) =>
    createRun(tx, {
      ...{ of: { segmentId: newest }, version: 1, reason: 'backfill', source: 'everybody' },
      segmentIds,
    }),
  )
  const { shards } = stack.config
  await startRuns({ send: sender.send, runs: segmentRuns(servers), shards, nowMs: Date.now() })
  const run = await whenRun(bench, newest)
  await whenDrained(bench)
  if (run.evaluated !== users) throw new Error(`the run evaluated ${run.evaluated} of ${users} people`)
  return run
}

const LOOK_MS = 100

/** When the newest run of a segment is done. */
async function whenRun({ sql, users, bar: open }: SegmentBench, segmentId: number): Promise<RunRow> {
  const deadline = performance.now() + HOUR_MS
  const bar = open('evaluated', users)
  for (;;) {
    const [run] = await listRuns(sql, segmentId, { before: undefined, limit: 1 })
    if (run === undefined) throw new Error('the run was not planned')
    bar.set(run.evaluated)
    if (run.state === 'done') {
      bar.done()
      return run
    }
    if (performance.now() > deadline) throw new Error(`the run is ${run.state} after an hour`)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

const TABLE = 'bench_members'
const STATEMENTS = 3

/** The best of three; the members of the last stay in the table. */
async function byHand(bench: SegmentBench, rules: BenchRule[]): Promise<number> {
  const { sql } = bench
  const segmentIds = await segmentIdsOf(bench)
  const bar = bench.bar('statements', STATEMENTS)
  let best = Number.POSITIVE_INFINITY
  for (let done = 0; done < STATEMENTS; done++) {
    await sql`drop table if exists ${sql(TABLE)}`
    const statement = handWritten(TABLE, rules, segmentIds, bench.eventIds, Date.now())
    const seconds = await inTransaction(sql, async (tx) => {
      // What whoever writes such a statement gives it: a million groups fit without spilling.
      await tx`set local work_mem = '512MB'`
      const startedAt = performance.now()
      await tx.unsafe(statement)
      return (performance.now() - startedAt) / 1000
    })
    best = Math.min(best, seconds)
    bar.set(done + 1)
  }
  bar.done()
  return best
}

/** Returns how many memberships there are; both ways, so that neither side has one that the other lacks. */
export async function compareMembers(
  { sql, say }: Pick<SegmentBench, 'sql' | 'say'>,
  rules: Pick<BenchRule, 'slug'>[],
): Promise<number> {
  const slugs = rules.map((rule) => rule.slug)
  const rows = await sql<{ slug: string; engine: number; hand: number; apart: number }[]>`
    select s.slug, count(m.profile_id)::int as engine, count(b.profile_id)::int as hand,
      count(*) filter (where m.profile_id is null or b.profile_id is null)::int as apart
    from memberships m
    full join ${sql(TABLE)} b on b.segment_id = m.segment_id and b.profile_id = m.profile_id
    join segments s on s.segment_id = coalesce(m.segment_id, b.segment_id)
    where s.slug = any(${slugs})
    group by s.slug`
  const different = rows.filter((row) => row.apart > 0)
  for (const row of different)
    say(`${row.slug}: the engine has ${row.engine} members, the statement ${row.hand}; ${row.apart} differ`)
  if (different.length > 0)
    throw new Error('the segment engine and the hand-written statement found different members')
  return rows.reduce((sum, row) => sum + row.engine, 0)
}
