// Which changes of segments and lists have profiles left to be evaluated again: each is marked in the transaction of the
// change (store/segments.ts, store/lists.ts), so that a process that dies before it has named everybody leaves a trace.
import type { Queryable } from './sql.ts'

/** `change` = `v2` or `a2` of a segment, `l5` of a list: see queues/backfill.ts. */
export type OpenBackfill = { id: number; change: string }

/** Changes committed more than `idleMs` ago whose profiles were not all handed on. */
export async function openBackfills(sql: Queryable, options: { idleMs: number }): Promise<OpenBackfill[]> {
  return sql<OpenBackfill[]>`
    select id, change
    from (
      select segment_id as id, backfill_change as change, backfill_since as since from segments
      where backfill_change is not null
      union all
      select list_id, 'l' || backfill_version, backfill_since from lists
      where backfill_version is not null
    ) open
    where since < clock_timestamp() - ${options.idleMs} * interval '1 millisecond'
    order by since`
}

/** A newer change of the same segment or list keeps its own mark. */
export async function closeBackfill(sql: Queryable, { id, change }: OpenBackfill): Promise<void> {
  if (change.startsWith('l')) {
    await sql`
      update lists set backfill_version = null, backfill_since = null
      where list_id = ${id} and 'l' || backfill_version = ${change}`
    return
  }
  await sql`
    update segments set backfill_change = null, backfill_since = null
    where segment_id = ${id} and backfill_change = ${change}`
}
