// The sources table: what sends events, and how far back each may. Called by the source routes, `millrace keys` and
// the start command.
import type { Queryable } from './sql.ts'

export type SourceRow = {
  sourceId: number
  name: string
  /** Events older than this are refused; null = the retention of the deployment. */
  acceptEventsSince: Date | null
  createdAt: Date
  /** Keys that are not revoked. */
  activeKeys: number
}

/** Makes a source and returns its id; a taken name is refused by the table (23505). */
export async function createSource(
  sql: Queryable,
  source: { name: string; acceptEventsSince?: Date },
): Promise<number> {
  const [row] = await sql<{ sourceId: number }[]>`
    insert into sources (name, accept_events_since)
    values (${source.name}, ${source.acceptEventsSince ?? null})
    returning source_id as "sourceId"`
  if (row === undefined) throw new Error('the insert of a source returned no row')
  return row.sourceId
}

/** The id of the source with this name, made if it is new. Safe to race: both callers get the same id. */
export async function ensureSource(
  sql: Queryable,
  name: string,
  options: { acceptEventsSince?: Date } = {},
): Promise<number> {
  const [made] = await sql<{ sourceId: number }[]>`
    insert into sources (name, accept_events_since)
    values (${name}, ${options.acceptEventsSince ?? null})
    on conflict (name) do nothing
    returning source_id as "sourceId"`
  if (made !== undefined) return made.sourceId
  const [found] = await sql<{ sourceId: number }[]>`
    select source_id as "sourceId" from sources where name = ${name}`
  if (found === undefined) throw new Error('the source vanished while it was looked up')
  return found.sourceId
}

/** Every source with its number of active keys, oldest first. */
export async function listSources(sql: Queryable): Promise<SourceRow[]> {
  return sql<SourceRow[]>`
    select s.source_id as "sourceId", s.name, s.accept_events_since as "acceptEventsSince",
      s.created_at as "createdAt",
      (select count(*)::int from api_keys k where k.source_id = s.source_id and k.revoked_at is null) as "activeKeys"
    from sources s
    order by s.source_id`
}
