// The entries and exits of one segment, newest first, read from all servers in one order: by when they were recorded, and of one
// instant by number, which no two servers give twice. What is asked besides the time is no part of an index, so a page
// looks at so many changes at the most and says how far it came.
import type { RecordedChange } from './feed.ts'
import type { Servers } from './servers.ts'
import type { Sql } from './sql.ts'

/** What a page looks at on each server, where only some of it is wanted. */
const LOOKED_AT = 5_000

/** Place of a change in the order: microseconds since the epoch, and its number. */
export type ChangePlace = { recordedUs: number; id: number }
export type WantedChanges = {
  /** Recorded from, and before (ms). */
  fromMs?: number | undefined
  toMs?: number | undefined
  op?: 'enter' | 'exit' | undefined
  reason?: string | undefined
}

export type ChangesPage = {
  changes: RecordedChange[]
  /** Where to go on; undefined when there is nothing older. */
  last: ChangePlace | undefined
}

type Row = RecordedChange & ChangePlace & { isWanted: boolean; isEnd: boolean }

/** At most `limit` of those before `before`; fewer, even none, also where many were looked at in vain. */
export async function listChangesOfSegment(
  servers: Servers,
  segmentId: number,
  options: WantedChanges & { before?: ChangePlace | undefined; limit: number },
): Promise<ChangesPage> {
  const { limit } = options
  const read = await Promise.all(servers.all.map((sql) => readNewest(sql, segmentId, options)))
  const rows = read.flat().sort((a, b) => b.recordedUs - a.recordedUs || b.id - a.id)
  const changes: RecordedChange[] = []
  let last: ChangePlace | undefined
  for (const { isWanted, isEnd, recordedUs, ...change } of rows) {
    if (changes.length === limit) return { changes, last }
    if (isWanted) changes.push(change)
    last = { recordedUs, id: change.id }
    // Nobody has looked at what that server has behind this one.
    if (isEnd) return { changes, last }
  }
  return { changes, last: undefined }
}

/**
 * The wanted ones of the next changes of a server, newest first, and at the end the last one that was looked at, if there may be
 * more behind it. One descent of membership_changes_newest in each partition; what is shown is looked up for those alone.
 */
async function readNewest(
  sql: Sql,
  segmentId: number,
  {
    fromMs,
    toMs,
    op,
    reason,
    before,
    limit,
  }: WantedChanges & { before?: ChangePlace | undefined; limit: number },
): Promise<Row[]> {
  const looks = op === undefined && reason === undefined ? limit + 1 : LOOKED_AT
  const isWanted = sql`${op === undefined ? sql`true` : sql`op = ${op}`} and ${reason === undefined ? sql`true` : sql`reason = ${reason}`}`
  return sql<Row[]>`
    with looked_at as materialized (
      select bucket, change_id, recorded_at, ${isWanted} as is_wanted
      from membership_changes
      where segment_id = ${segmentId}
        ${fromMs === undefined ? sql`` : sql`and recorded_at >= at_ms(${fromMs})`}
        ${toMs === undefined ? sql`` : sql`and recorded_at < at_ms(${toMs})`}
        ${
          before === undefined
            ? sql``
            : sql`and recorded_at <= ${atMicros(sql, before.recordedUs)} and (recorded_at, change_id) < (${atMicros(sql, before.recordedUs)}, ${before.id})`
        }
      order by recorded_at desc, change_id desc
      limit ${looks}
    )
    select c.change_id as id, c.profile_id as "profileId",
      (select user_id from profiles p where p.bucket = c.bucket and p.profile_id = c.profile_id) as "userId",
      c.segment_id as "segmentId", c.op, c.reason, c.version, c.effective_at as "effectiveAt", c.recorded_at as "recordedAt", c.metrics,
      (extract(epoch from c.recorded_at) * 1000000)::bigint as "recordedUs", l.is_wanted as "isWanted", l.is_end as "isEnd"
    from (
      select bucket, change_id, is_wanted, n = ${looks} as is_end
      from (select *, row_number() over (order by recorded_at desc, change_id desc) as n from looked_at) numbered
      where is_wanted or n = ${looks}
      order by n
      limit ${limit + 1}
    ) l
    join membership_changes c on c.bucket = l.bucket and c.change_id = l.change_id
    order by c.recorded_at desc, c.change_id desc`
}

/** Exact: a whole number of microseconds. */
function atMicros(sql: Sql, us: number) {
  return sql`(timestamptz 'epoch' + ${us}::bigint * interval '1 microsecond')`
}
