// Partitions are there before their week begins and go when their time is over, with the rows that belong to them.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { ensureEventPartitions } from '../../../store/events.ts'
import { partitionsBefore } from '../../../store/partitions.ts'
import { applyRetention, makePartitionsAhead } from '../../../workers/schedule/retention.ts'
import { NEVER, scheduleDeps } from '../../support/schedule-deps.ts'
import { testWorld, type World } from '../../support/world.ts'

const NOW = Date.UTC(2026, 10, 21, 3)
const FAR = new Date(Date.UTC(2100, 0, 1))

let world: World
beforeAll(async () => {
  world = await testWorld({ retentionDays: 30, partitionsAheadWeeks: 2 })
})
afterAll(() => world.close())
beforeEach(async () => {
  await world.sql`delete from sources`
})

const names = async () => (await partitionsBefore(world.sql, FAR)).map((partition) => partition.name)

test('this week and those ahead are made for every bucket range, each once', async () => {
  const deps = scheduleDeps(world, NOW)
  expect(await makePartitionsAhead(deps)).toEqual({ made: 48, checked: 48 })
  expect(await makePartitionsAhead(deps)).toEqual({ made: 0, checked: 48 })
  expect(await names()).toContain('events_b07_20261130')
  deps.clock.set(NOW + 7 * 86_400_000)
  expect(await makePartitionsAhead(deps)).toEqual({ made: 16, checked: 48 })
})

test('twenty processes that make the same partitions at once do not fail', async () => {
  const deps = scheduleDeps(world, NOW + 70 * 86_400_000)
  const counts = await Promise.all(Array.from({ length: 20 }, () => makePartitionsAhead(deps)))
  expect(counts.reduce((sum, { made = 0 }) => sum + made, 0)).toBe(48)
})

test('a partition goes when its whole week is past retention, and not a day earlier', async () => {
  await ensureEventPartitions(world.sql, [
    { range: 3, week: '2026-10-12' },
    { range: 3, week: '2026-10-19' },
  ])
  const deps = scheduleDeps(world, NOW)
  // The limit is 22 October: the week of the 12th is past it, that of the 19th is not.
  expect(await applyRetention(deps, NEVER)).toMatchObject({ partitions: 1 })
  expect(await names()).toContain('events_b03_20261019')
  expect(await names()).not.toContain('events_b03_20261012')
  expect(await world.sql`select to_regclass('events_b03_20261012') as gone`).toEqual([{ gone: null }])
})

test('history that a source was allowed to import is kept', async () => {
  await ensureEventPartitions(world.sql, [{ range: 0, week: '1997-01-06' }])
  await world.sql`insert into sources (name, accept_events_since) values ('history', '1997-01-01')`
  expect(await applyRetention(scheduleDeps(world, NOW), NEVER)).toMatchObject({ partitions: 0 })
  await world.sql`delete from sources`
  expect(await applyRetention(scheduleDeps(world, NOW), NEVER)).toMatchObject({ partitions: 1 })
})

test('a partition that was detached by a process that died is dropped by the next run', async () => {
  await ensureEventPartitions(world.sql, [{ range: 1, week: '2020-01-06' }])
  await world.sql`alter table events_b01 detach partition events_b01_20200106`
  expect(await applyRetention(scheduleDeps(world, NOW), NEVER)).toMatchObject({ partitions: 1 })
  expect(await world.sql`select to_regclass('events_b01_20200106') as gone`).toEqual([{ gone: null }])
})

test('message ids, resolved failures, answered requests and old runs go with their time; open failures stay', async () => {
  const days = (ago: number) => new Date(NOW - ago * 86_400_000)
  for (const ago of [1, 36, 38, 400]) {
    await world.sql`insert into message_ids (id, hash, received_at) values (gen_random_uuid(), 1, ${days(ago)})`
  }
  await world.sql`
    insert into failed_events (failed_key, stage, code, reason, payload, failed_at, resolved_at) values
      ('old-open', 'persist', 'internal', '', '{}', ${days(300)}, null),
      ('old-resolved', 'persist', 'internal', '', '{}', ${days(300)}, ${days(31)}),
      ('new-resolved', 'persist', 'internal', '', '{}', ${days(300)}, ${days(29)})`
  await world.sql`
    insert into idempotency_keys (key_hash, body_hash, created_at)
    values ('\x01', '\x01', ${days(2)}), ('\x02', '\x01', ${days(0.5)})`
  await world.sql`
    insert into schedule_runs (task, started_at, finished_at, outcome)
    values ('sweep', ${days(3)}, ${days(3)}, 'done'), ('retention', ${days(3)}, ${days(3)}, 'done'), ('retention', ${days(91)}, ${days(91)}, 'done')`
  await world.sql`
    insert into segment_drift (segment_id, version, profile_id, as_of, expected, stored, rule, found_at)
    select 1, 1, 1, now(), true, false, '{}', found_at
    from (values (${days(31)}::timestamptz), (${days(29)})) as rows (found_at)`
  await world.sql`
    insert into segment_passes (as_of, pass_id, shards, reasons, profiles, evaluated, segments, pairs, entered, exited, duration_ms)
    select as_of, 1, '{0}', '{event}', 1, 1, 1, 1, 0, 0, 1
    from (values (${days(2.1)}::timestamptz), (${days(1.9)})) as rows (as_of)`
  expect(await applyRetention(scheduleDeps(world, NOW), NEVER)).toEqual({
    drift: 1,
    passes: 1,
    partitions: 0,
    messageIds: 2,
    runs: 2,
    idempotencyKeys: 1,
    failedEvents: 1,
  })
  const open = await world.sql`select failed_key from failed_events order by failed_key`
  expect(open.map((row) => row.failed_key)).toEqual(['new-resolved', 'old-open'])
})
