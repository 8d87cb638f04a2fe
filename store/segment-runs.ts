// Runs: everybody is evaluated again for some segments, or only those whom an edit would move. In parts, each some buckets
// with a cursor that moves behind the chunk that was committed: what dies goes on from there. All at home.
import { BUCKETS } from '../domain/buckets.ts'
import type { SegmentRunPart } from '../schema/jobs.ts'
import { intArray } from './arrays.ts'
import { profilesOfBuckets } from './memberships.ts'
import { awaitWriters, differenceOfBuckets } from './segment-difference.ts'
import type { Servers } from './servers.ts'
import { inTransaction, type Queryable, type Sql, type Transaction } from './sql.ts'

/** Chunks stay this small so that live passes over the same people never wait long for one. */
const PROFILES_A_CHUNK = 1_000
/** Runs that go on at a time; each has a chunk of every part on the queues. The others wait. */
const RUNS_AT_ONCE = 4
/** Of a run through many people; few are one part, which costs less than sixteen ends. */
const PARTS = 16
const FEW_IDENTITIES = 2_000

export type NewRun = {
  of: { segmentId: number } | { listId: number }
  /** Of the segment or list. */
  version: number
  reason: SegmentRunPart['reason']
  source: SegmentRunPart['source']
  /** See SegmentRunPart. */
  segmentIds: number[]
}

/**
 * Plans a run in the transaction of the change that asks for it, so that it is found whatever dies. One of the same segment
 * or list that is still open is taken into it. Returns its number; undefined while there is nobody to evaluate.
 */
export async function createRun(tx: Transaction, run: NewRun): Promise<number | undefined> {
  const segmentId = 'segmentId' in run.of ? run.of.segmentId : null
  const listId = 'listId' in run.of ? run.of.listId : null
  const open = await tx<{ source: string; segment_ids: number[] }[]>`
    update segment_runs set state = 'superseded', finished_at = clock_timestamp()
    where ${segmentId === null ? tx`list_id = ${listId}` : tx`segment_id = ${segmentId}`} and state in ('waiting', 'running')
    returning source, segment_ids`
  const source = open.some((one) => one.source === 'everybody') ? 'everybody' : run.source
  const segmentIds = [...new Set([...run.segmentIds, ...open.flatMap((one) => one.segment_ids)])]
  const [row] = await tx<{ run_id: number }[]>`
    insert into segment_runs (segment_id, list_id, version, reason, source, segment_ids, state)
    select ${segmentId}::int, ${listId}::int, ${run.version}, ${run.reason}, ${source}, ${intArray(segmentIds)}::int[], 'waiting'
    where exists (select 1 from identities)
    returning run_id`
  if (row === undefined) return undefined
  await tx`
    with parts as (
      select case when count(*) < ${FEW_IDENTITIES} then 1 else ${PARTS} end as n
      from (select 1 from identities limit ${FEW_IDENTITIES}) few
    )
    insert into segment_run_parts (run_id, part, bucket_from, bucket_to)
    select ${row.run_id}, part, part * ${BUCKETS} / n, (part + 1) * ${BUCKETS} / n - 1
    from parts, generate_series(0, n - 1) as part`
  return row.run_id
}

/** What the sending side (queues/segment-runs.ts) asks of the stores. */
export function segmentRuns(servers: Servers) {
  const { home } = servers
  return {
    start: () => startWaiting(home),
    read: (part: SegmentRunPart) => readChunk(servers, part),
    advance: (part: SegmentRunPart, done: Advance) => advancePart(home, part, done),
    end: (part: SegmentRunPart) => endPart(home, part),
    idle: (idleMs: number) => idleParts(home, idleMs),
  }
}

const partColumns = (sql: Queryable) => sql`
  p.run_id as "runId", p.part, p.bucket_from as "from", p.bucket_to as "to", p.after_profile_id as after, r.segment_ids as "segmentIds", r.source, r.reason`

async function startWaiting(home: Sql): Promise<SegmentRunPart[]> {
  return home<SegmentRunPart[]>`
    with started as (
      update segment_runs r
      set state = 'running', started_at = clock_timestamp()
      from (
        select run_id from segment_runs where state = 'waiting' order by run_id
        limit greatest(0, ${RUNS_AT_ONCE} - (select count(*) from segment_runs where state = 'running'))
        for update skip locked
      ) next
      where r.run_id = next.run_id
      returning r.run_id, r.segment_ids, r.source, r.reason
    )
    select ${partColumns(home)}
    from started r
    join segment_run_parts p using (run_id)
    order by p.run_id, p.part`
}

async function readChunk(
  servers: Servers,
  { from, to, after, source, segmentIds }: SegmentRunPart,
): Promise<{ profileIds: number[]; isLast: boolean }> {
  const slice = { from, to, afterProfileId: after ?? undefined, limit: PROFILES_A_CHUNK }
  if (source === 'difference' && after === null) await awaitWriters(servers, slice)
  const profileIds = await (source === 'everybody'
    ? profilesOfBuckets(servers, slice)
    : differenceOfBuckets(servers, { segmentId: segmentIds[0] ?? 0, ...slice }))
  return { profileIds, isLast: profileIds.length < PROFILES_A_CHUNK }
}

type Advance = { lastProfileId: number; evaluated: number; entered: number; exited: number }

/**
 * Also returns the part when its cursor stood behind this chunk already: whoever moved it may have died before it sent the
 * next chunk. Once the next chunk has moved it on, nothing is returned, so no second chain of chunks can grow.
 */
async function advancePart(
  home: Sql,
  part: SegmentRunPart,
  done: Advance,
): Promise<SegmentRunPart | undefined> {
  await home`
    update segment_run_parts
    set after_profile_id = ${done.lastProfileId}, updated_at = clock_timestamp(), evaluated = evaluated + ${done.evaluated},
      entered = entered + ${done.entered}, exited = exited + ${done.exited}
    where run_id = ${part.runId} and part = ${part.part} and after_profile_id is not distinct from ${part.after}`
  const [next] = await home<SegmentRunPart[]>`
    select ${partColumns(home)}
    from segment_run_parts p
    join segment_runs r using (run_id)
    where p.run_id = ${part.runId} and p.part = ${part.part} and r.state = 'running' and not p.is_done
      and p.after_profile_id = ${done.lastProfileId}`
  return next
}

/** The row of the run is locked first: of two parts that end at once, the second sees the first. */
async function endPart(home: Sql, { runId, part, after }: SegmentRunPart): Promise<boolean> {
  return inTransaction(home, async (tx) => {
    const [run] = await tx<{ segment_id: number | null }[]>`
      select segment_id from segment_runs where run_id = ${runId} and state = 'running' for update`
    if (run === undefined) return false
    await tx`
      update segment_run_parts set is_done = true, updated_at = clock_timestamp()
      where run_id = ${runId} and part = ${part} and after_profile_id is not distinct from ${after}`
    const finished = await tx`
      update segment_runs set state = 'done', finished_at = clock_timestamp()
      where run_id = ${runId} and not exists (select 1 from segment_run_parts where run_id = ${runId} and not is_done)`
    if (finished.count === 0) return false
    if (run.segment_id !== null) await settleVersions(tx, run.segment_id)
    return true
  })
}

/** A draft that everybody has been evaluated for can be published, and of a live version entries need no second look. */
async function settleVersions(tx: Transaction, segmentId: number): Promise<void> {
  await tx`
    update segment_versions set status = 'draft' where segment_id = ${segmentId} and status = 'building'`
  await tx`
    update settings set value = to_jsonb((value #>> '{}')::bigint + 1) where name = 'segments_generation'`
}

async function idleParts(home: Sql, idleMs: number): Promise<SegmentRunPart[]> {
  return home<SegmentRunPart[]>`
    select ${partColumns(home)}
    from segment_runs r
    join segment_run_parts p using (run_id)
    where r.state = 'running' and not p.is_done
      and p.updated_at < clock_timestamp() - ${idleMs} * interval '1 millisecond'
      and r.started_at < clock_timestamp() - ${idleMs} * interval '1 millisecond'
    order by p.run_id, p.part`
}
