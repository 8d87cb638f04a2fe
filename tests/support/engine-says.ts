// The engine's answers of the past, out of the changes that it has written.
import type { Sql } from '../../store/sql.ts'

/** What the engine has written, as an answer for any instant since a time. */
export async function engineSays(
  sql: Sql,
): Promise<(segmentId: number, profileId: number, atMs: number) => boolean> {
  const rows = await sql<{ segment_id: number; profile_id: number; op: string; effective_at: Date }[]>`
    select segment_id, profile_id, op, effective_at from membership_changes order by change_id`
  const changes = Map.groupBy(rows, (row) => `${row.segment_id}/${row.profile_id}`)
  return (segmentId, profileId, atMs) => {
    const of = changes.get(`${segmentId}/${profileId}`) ?? []
    return of.findLast((row) => row.effective_at.getTime() <= atMs)?.op === 'enter'
  }
}
