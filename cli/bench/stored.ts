// How the rate holds while the tables grow (`bench --full`): rows of other people, of the last four weeks, are written into the
// live tables until there are so many, and then the pipeline is measured as always, between two looks at bare COPY into
// empty tables: what a machine does in one half hour and not in the next shows there too. Takes half an hour and 30 GB.
import { ensureEventPartitions, weekOf } from '../../store/events.ts'
import type { Sql } from '../../store/sql.ts'
import type { CopyYardstick } from './copy.ts'
import { type Bench, endToEnd } from './phases.ts'

const MARKS = [1_000_000, 10_000_000, 50_000_000]
const SLICE_ROWS = 250_000
const PEOPLE = 1_000_000
const WEEKS = 4
const WEEK_MS = 7 * 86_400_000
const MEASURED_EVENTS = 300_000

export type StoredRates = {
  eventsPerSecond: Record<string, number>
  copyRowsPerSecond: Record<string, number>
}

/** Events a second by stored rows, and rows a second of bare COPY beside each; `say` is told of the progress. */
export async function rateByStoredRows(
  bench: Bench,
  yardstick: CopyYardstick,
  say: (text: string) => void,
): Promise<StoredRates> {
  const { sql } = bench
  const nowMs = Date.now()
  const weeks = Array.from({ length: WEEKS + 1 }, (_, i) => weekOf(nowMs - i * WEEK_MS))
  await ensureEventPartitions(
    sql,
    weeks.flatMap((week) => Array.from({ length: 16 }, (_, range) => ({ range, week }))),
  )
  const rates: StoredRates = { eventsPerSecond: {}, copyRowsPerSecond: {} }
  let filled = 0
  for (const mark of MARKS) {
    const [row] = await sql<{ count: number }[]>`select count(*) as count from message_ids`
    const wanted = filled + mark - (row?.count ?? 0)
    await dropKeys(sql)
    for (let to = filled; to < wanted; filled = to) {
      to = Math.min(wanted, filled + SLICE_ROWS)
      await fill(sql, filled, to, nowMs)
      if (to % (SLICE_ROWS * 10) < SLICE_ROWS) say(`${whole(mark - wanted + to)} rows are stored`)
    }
    say('building the keys')
    await buildKeys(sql)
    await sql`vacuum (analyze) message_ids`
    await sql`analyze events`
    const copyBefore = await yardstick.rowsPerSecond()
    const { eventsPerSecond } = await endToEnd(bench, MEASURED_EVENTS)
    const copyRows = Math.max(copyBefore, await yardstick.rowsPerSecond())
    rates.eventsPerSecond[mark] = eventsPerSecond
    rates.copyRowsPerSecond[mark] = copyRows
    const ratio = (eventsPerSecond / copyRows).toFixed(3)
    say(
      `with ${whole(mark)} rows: ${whole(eventsPerSecond)} events/s, ${ratio} of bare COPY into empty tables`,
    )
  }
  return rates
}

/** Without keys rows are written in minutes that would take an hour, each into another page of them. */
async function dropKeys(sql: Sql): Promise<void> {
  await sql`alter table message_ids drop constraint message_ids_pkey`
  await sql`alter table events drop constraint events_pkey`
}

async function buildKeys(sql: Sql): Promise<void> {
  await sql.begin(async (tx) => {
    await tx`set local maintenance_work_mem to '1GB'`
    await tx`set local statement_timeout to 0`
    await tx`alter table message_ids add primary key (id)`
    await tx`alter table events add primary key (profile_id, event_id, time, message_id, bucket)`
  })
}

/** Rows `from` to `to`, with both keys, as wide as those of the benchmark's own events. */
async function fill(sql: Sql, from: number, to: number, nowMs: number): Promise<void> {
  await sql`
    with rows as (
      select n, n % ${PEOPLE}::bigint as person,
        to_timestamp(${nowMs / 1000}::float8 - (n * 7919) % ${(WEEKS * WEEK_MS) / 1000}::bigint) as time
      from generate_series(${from}::bigint, ${to - 1}::bigint) as n
    ), ids as (
      insert into message_ids (id, hash, received_at)
      select md5('stored-' || n)::uuid, n, time from rows
    )
    insert into events (bucket, event_id, source_id, marks, profile_id, time, received_at, value, currency,
      message_id, user_id, anonymous_id, properties, envelope)
    select (person % 1024)::smallint, (1 + n % 5)::smallint, 1::smallint, 0::smallint, (10000000 + person) * 1024 + person % 1024,
      time, time, null, null, 'stored-' || n, 'stored-' || person, null,
      jsonb_build_object('product_id', 'p-' || n % 100, 'name', 'Product ' || n % 100, 'category', 'home', 'price', 19.99, 'quantity', 1),
      '{"context":{"library":{"name":"@segment/analytics-node","version":"3.1.0"}},"integrations":{}}'::json
    from rows`
}

const whole = (value: number) => Math.round(value).toLocaleString('en-US')
