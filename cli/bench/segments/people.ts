// The data of the segment benchmark, made inside Postgres: known people with six events each on average, one in twenty of
// them with 44 and the others with 4. No event crosses the edge of a window of whole days for hours after `nowMs`, so
// that whoever decides a rule within that time finds the same people.
import { ensureEventPartitions, numberEventNames, weekOf } from '../../../store/events.ts'
import { inTransaction, type Sql } from '../../../store/sql.ts'
import { EVENTS } from './rules.ts'
import type { OpenBar } from './world.ts'

const DAY_MS = 86_400_000
/** Some events are older than every window. */
const DAYS = 40
/** Ages are so many hours past a whole number of days at least, and `HOURS_WIDE` more at most: 4 hours are left. */
const HOURS_WIDE = 19
const SLICE_PEOPLE = 25_000
/** Of a rule of its own, which the hand-written statement does not know. */
export const LAPSING_EVENT = 'Trial Started'

export const eventsOf = (users: number) => 4 * users + 40 * Math.ceil(users / 20)

/** People are `user-0`, `user-1`, …, as the load of the benchmark names them. Returns the numbers of the event names. */
export async function fillPeople(
  sql: Sql,
  options: { users: number; nowMs: number; bar: OpenBar },
): Promise<Map<string, number>> {
  const { users, nowMs } = options
  const weeks = new Set(Array.from({ length: DAYS + 9 }, (_, day) => weekOf(nowMs - (day - 8) * DAY_MS)))
  await ensureEventPartitions(
    sql,
    [...weeks].flatMap((week) => Array.from({ length: 16 }, (_, range) => ({ range, week }))),
  )
  const names = [...EVENTS, LAPSING_EVENT].map((name) => ({ type: 'track', name, sourceId: 1 }))
  const numbers = new Map((await numberEventNames(sql, names, 1_000)).map((one) => [one.name, one.eventId]))
  await sql`select setval('profile_numbers', ${users + 1}::bigint)`
  // Filled and then built, the key costs a part of what it costs row by row.
  await sql`alter table events drop constraint events_pkey`
  const people = options.bar('people', users)
  for (let from = 0; from < users; from += SLICE_PEOPLE) {
    const to = Math.min(users, from + SLICE_PEOPLE)
    await fillSlice(sql, { from, to, nowMs, numbers })
    people.set(to)
  }
  people.done()
  await finishTables(sql, options.bar)
  return numbers
}

const FILLED = ['events', 'profiles', 'identities']

/** The key of the events, and what the planner and index-only scans go by. */
async function finishTables(sql: Sql, open: OpenBar): Promise<void> {
  const bar = open('tables', FILLED.length)
  await inTransaction(sql, async (tx) => {
    await tx`set local maintenance_work_mem to '512MB'`
    await tx`set local statement_timeout to 0`
    await tx`alter table events add primary key (profile_id, event_id, time, message_id, bucket)`
  })
  for (const [i, table] of FILLED.entries()) {
    await sql`vacuum (analyze) ${sql(table)}`
    bar.set(i + 1)
  }
  bar.done()
}

/** As wide as the rows of the benchmark's own events. Whether one in four of a busy person's events is an order says `dice`. */
async function fillSlice(
  sql: Sql,
  { from, to, nowMs, numbers }: { from: number; to: number; nowMs: number; numbers: Map<string, number> },
): Promise<void> {
  const [viewed, added, searched, cart, order] = EVENTS.map((name) => numbers.get(name) ?? 0)
  await sql`
    with people as materialized (
      select n, 'user-' || n as user_id, bucket_of('user-' || n) as bucket, n % 20 = 0 as is_busy
      from generate_series(${from}::bigint, ${to - 1}::bigint) as n
    ), drawn as (
      select p.*, (n + 1) * 1024 + bucket as profile_id, k,
        hashint8extended(n * 64 + k, 1) & 1073741823 as dice,
        hashint8extended(n * 64 + k, 2) & 1073741823 as age_dice
      from people p
      cross join lateral generate_series(1, case when is_busy then 44 else 4 end) as k
    ), happened as materialized (
      select *, case
          when dice % 16 < (case when is_busy then 4 else 1 end) then ${order ?? 0}::smallint
          when dice % 16 < 10 then ${viewed ?? 0}::smallint
          when dice % 16 < 13 then ${added ?? 0}::smallint
          when dice % 16 < 15 then ${searched ?? 0}::smallint
          else ${cart ?? 0}::smallint
        end as event_id,
        at_ms(${nowMs}::bigint - (age_dice % ${DAYS}) * ${DAY_MS}::bigint - 3600000
          - (age_dice / ${DAYS}) % ${HOURS_WIDE * 3_600_000}) as time
      from drawn
    ), written as (
      insert into events (bucket, event_id, source_id, marks, profile_id, time, received_at, value, currency,
        message_id, user_id, anonymous_id, properties, envelope)
      select bucket, event_id, 1, 0, profile_id, time, time,
        case when event_id = ${order ?? 0} then 1999 + dice % 300 * 100 end,
        case when event_id = ${order ?? 0} then 'USD' end,
        'bench-' || n || '-' || k, user_id, null,
        jsonb_build_object('product_id', 'p-' || dice % 100, 'name', 'Product ' || dice % 100, 'category', 'home',
          'price', 19.99, 'quantity', 1),
        '{"context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"}},"integrations":{}}'::json
      from happened
    ), named as (
      insert into identities (kind, value, profile_id)
      select 0, user_id, (n + 1) * 1024 + bucket from people
    )
    insert into profiles (bucket, profile_id, first_id, user_id, first_seen, last_seen)
    select bucket, profile_id, user_id, user_id, min(time), max(time) from happened
    group by bucket, profile_id, user_id`
}
