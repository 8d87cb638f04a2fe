// What the exporter asks Postgres for every half minute is answered from indexes, however many rows have gathered.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { countFailedEvents } from '../../store/failed-events.ts'
import { readStoreGauges } from '../../store/gauges.ts'
import { lastRuns } from '../../store/schedule-runs.ts'
import { inTransaction, type Queryable } from '../../store/sql.ts'
import { testWorld, type World } from '../support/world.ts'

const ROWS = 20_000

let world: World
beforeAll(async () => {
  world = await testWorld()
  const { sql } = world
  await sql`
    insert into failed_events (failed_key, stage, code, reason, payload, resolved_at)
    select 'key-' || i, 'persist', 'row_rejected', 'a reason', '{}', case when i > 3 then now() end
    from generate_series(1, ${ROWS}::int) i`
  await sql`
    insert into schedule_runs (task, started_at, finished_at, outcome)
    select case i when 1 then 'retention' when 2 then 'partitions' else 'sweep' end, to_timestamp(i), now(),
      case when i = ${ROWS} then 'failed' else 'done' end
    from generate_series(1, ${ROWS}::int) i`
  await sql`
    insert into archive_gaps (batch_id, from_received, to_received, events, filled_at)
    select 'batch-' || i, now(), now(), 1, case when i > 2 then now() end
    from generate_series(1, ${ROWS}::int) i`
  await sql`
    insert into membership_changes (bucket, segment_id, profile_id, op, reason, version, effective_at, announced_at)
    select i % 1024, 1, i, 'enter', 'event', 1, now(), now()
    from generate_series(1, ${ROWS}::int) i`
  await sql`vacuum analyze failed_events, schedule_runs, archive_gaps, membership_changes`
})
afterAll(() => world.close())

/** What `work` answers, and the tables of ours that it read from end to end. */
async function readsWhole<T>(work: (tx: Queryable) => Promise<T>) {
  return inTransaction(world.sql, async (tx) => {
    const answer = await work(tx)
    const rows = await tx<{ relname: string }[]>`
      select relname from pg_stat_xact_user_tables where seq_scan > 0`
    return { answer, whole: rows.map((row) => row.relname) }
  })
}

test('open failures are counted without reading those that are resolved', async () => {
  expect(await readsWhole(countFailedEvents)).toEqual({
    answer: [{ stage: 'persist', code: 'row_rejected', count: 3 }],
    whole: [],
  })
})

test('the last success of each task is found without reading its earlier runs', async () => {
  const { answer, whole } = await readsWhole(lastRuns)
  expect(whole).toEqual([])
  expect([...answer].sort()).toEqual([
    ['partitions', 2_000],
    ['retention', 1_000],
    ['sweep', (ROWS - 1) * 1000],
  ])
})

test('gaps and changes that are open are found without reading those that are done with', async () => {
  const { answer, whole } = await readsWhole(readStoreGauges)
  expect(whole).toEqual([])
  expect(answer).toMatchObject({ archiveGapsOpen: 2, unannouncedAgeSeconds: 0, partitionWeeksAhead: null })
})

test('the counter of whole reads would show one', async () => {
  const { whole } = await readsWhole((tx) => tx`select count(*) from failed_events where reason = 'none'`)
  expect(whole).toEqual(['failed_events'])
})
