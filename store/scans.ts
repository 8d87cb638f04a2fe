// The scans of a segment pass: aggregates of the touched profiles' events, one statement a scan, set-wise. Uses the
// events' key (profile_id, event_id, time, …); the bucket range of the shard prunes partitions. Filters are built from
// fixed fragments with parameters: no user text is ever part of a statement.
import type { AskedEvent } from '../domain/segments/asked.ts'
import { EMPTY_SCAN, type ScanValue } from '../domain/segments/decide.ts'
import type { Scan } from '../domain/segments/plan.ts'
import type { PropertyFilter } from '../schema/rule.ts'
import { intArray, textArray } from './arrays.ts'
import type { Queryable } from './sql.ts'

/** Somebody and the times of their first and last event (ms): outside of them there is nothing to look for. */
export type Scanned = { profileId: number; firstMs: number; lastMs: number }
export type ScanScope = { people: Scanned[]; bucketFrom: number; bucketTo: number; asOfMs: number }

/** Value of each scan for each profile that has any event in it; absent = EMPTY_SCAN. `eventIds` = those of `scans`. */
export async function runScans(
  sql: Queryable,
  scans: Scan[],
  scope: ScanScope,
  eventIds: EventIds,
): Promise<Map<string, Map<number, ScanValue>>> {
  const results = new Map<string, Map<number, ScanValue>>()
  if (scope.people.length === 0) return results
  for (const scan of scans) {
    const ids = eventIds.get(keyOf(scan)) ?? []
    results.set(scan.key, ids.length === 0 ? new Map() : await runScan(sql, scan, ids, scope))
  }
  return results
}

/** Numbers of event names, by type and name. */
export type EventIds = Map<string, number[]>

function keyOf({ type, event }: AskedEvent): string {
  return `${type}\u0000${event}`
}

/** Numbers of the event names; a page, screen or identify condition without a name means all of that type. */
export async function readEventIds(sql: Queryable, asked: AskedEvent[]): Promise<EventIds> {
  const rows = await sql<{ type: string; event: string; event_ids: number[] }[]>`
    select wanted.type, wanted.event, array_agg(n.event_id) as event_ids
    from (
      select distinct type, event
      from unnest(${textArray(asked.map((one) => one.type))}::text[], ${textArray(asked.map((one) => one.event))}::text[]) as w (type, event)
    ) wanted
    join event_names n on n.type = wanted.type and (n.name = wanted.event or (wanted.event = '' and wanted.type <> 'track'))
    group by wanted.type, wanted.event`
  return new Map(rows.map((row) => [keyOf(row), row.event_ids]))
}

async function runScan(
  sql: Queryable,
  scan: Scan,
  eventIds: number[],
  scope: ScanScope,
): Promise<Map<number, ScanValue>> {
  const asOf = sql`at_ms(${scope.asOfMs})`
  const lower = scan.lastMs !== undefined ? scope.asOfMs - scan.lastMs : scan.fromMs
  const value =
    scan.prop === ''
      ? sql`null::numeric`
      : scan.currency !== ''
        ? sql`case when e.currency = ${scan.currency} then e.value end::numeric`
        : sql`case when jsonb_typeof(e.properties -> ${scan.prop}) = 'number' then (e.properties ->> ${scan.prop})::numeric end`
  // Lateral with an aggregate inside: always one look into the key a profile, in the partitions of its bucket only. As
  // a plain join the planner reads whole partitions while their statistics are not there yet. The times of each person leave
  // out the weeks before and after: with a year of partitions most people are in few of them.
  const rows = await sql<Record<string, unknown>[]>`
    select ids.profile_id, found.*
    from unnest(${intArray(scope.people.map((one) => one.profileId))}::bigint[],
      ${intArray(scope.people.map((one) => one.firstMs))}::bigint[], ${intArray(scope.people.map((one) => one.lastMs))}::bigint[])
      as ids (profile_id, first_ms, last_ms)
    cross join lateral (
      select count(*) filter (where due)::int as count,
        count(value) filter (where due)::int as valued,
        coalesce(sum(value) filter (where due), 0)::text as sum,
        (min(value) filter (where due))::text as min,
        (max(value) filter (where due))::text as max,
        (extract(epoch from min(time) filter (where due)) * 1000)::float8 as oldest,
        (extract(epoch from min(time) filter (where not due)) * 1000)::float8 as next
      from (
        select e.time, e.time <= ${asOf} as due, ${value} as value
        from events e
        where e.profile_id = ids.profile_id and e.bucket = (ids.profile_id & 1023)
          and e.event_id = any(${intArray(eventIds)}::smallint[])
          and e.bucket between ${scope.bucketFrom} and ${scope.bucketTo}
          and e.time >= at_ms(ids.first_ms) and e.time < at_ms(ids.last_ms + 1)
          ${lower === undefined ? sql`` : sql`and e.time > at_ms(${lower})`}
          ${scan.toMs === undefined ? sql`` : sql`and e.time <= at_ms(${scan.toMs})`}
          ${scan.where.reduce((all, filter) => sql`${all} and (${condition(sql, filter)})`, sql``)}
      ) e
    ) found
    where found.oldest is not null or found.next is not null`
  return new Map(rows.map((row) => [Number(row.profile_id), toValue(row, scan)]))
}

function toValue(row: Record<string, unknown>, scan: Scan): ScanValue {
  return {
    ...EMPTY_SCAN,
    count: Number(row.count),
    valued: Number(row.valued),
    sum: String(row.sum),
    min: row.min === null ? null : String(row.min),
    max: row.max === null ? null : String(row.max),
    leavesAt: row.oldest === null || scan.lastMs === undefined ? null : Number(row.oldest) + scan.lastMs,
    entersAt: row.next === null ? null : Number(row.next),
  }
}

/** One typed property filter: a missing property, or one of another type, is false for everything but `missing`. */
function condition(sql: Queryable, filter: PropertyFilter) {
  const json = sql`(e.properties -> ${filter.prop})`
  const text = sql`(e.properties ->> ${filter.prop})`
  const { op, value } = filter
  if (op === 'exists') return sql`coalesce(jsonb_typeof(${json}), 'null') <> 'null'`
  if (op === 'missing') return sql`coalesce(jsonb_typeof(${json}), 'null') = 'null'`
  if (Array.isArray(value))
    return sql`${json} in (select jsonb_array_elements(${JSON.stringify(value)}::text::jsonb))`
  const wanted = sql`${JSON.stringify(value)}::text::jsonb`
  if (op === 'eq') return sql`${json} = ${wanted}`
  if (op === 'ne') return sql`coalesce(jsonb_typeof(${json}), 'null') <> 'null' and ${json} <> ${wanted}`
  if (op === 'contains') {
    return sql`case jsonb_typeof(${json}) when 'array' then ${json} @> ${wanted} when 'string' then position(${String(value)} in ${text}) > 0 else false end`
  }
  if (op === 'startsWith')
    return sql`jsonb_typeof(${json}) = 'string' and starts_with(${text}, ${String(value)})`
  if (op === 'endsWith')
    return sql`jsonb_typeof(${json}) = 'string' and right(${text}, char_length(${String(value)})) = ${String(value)}`
  const order = op === 'gt' ? sql`>` : op === 'gte' ? sql`>=` : op === 'lt' ? sql`<` : sql`<=`
  // Texts by their characters, as traits are compared, not by the collation the database happens to have.
  if (typeof value === 'string')
    return sql`jsonb_typeof(${json}) = 'string' and ${text} collate "C" ${order} ${value} collate "C"`
  if (typeof value === 'number') return sql`jsonb_typeof(${json}) = 'number' and ${json} ${order} ${wanted}`
  return sql`false`
}
