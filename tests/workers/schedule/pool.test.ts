// The pool sets its schedules once for all processes, makes up for what was missed, and every run is a row.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openQueue } from '../../../queues/sender.ts'
import { schedulePool } from '../../../workers/schedule/pool.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

let world: World
beforeAll(async () => {
  world = await testWorld({ sweepMs: 200 })
})
afterAll(() => world.close())

const TASKS = [
  'close-sessions',
  'metric-cuts',
  'partitions',
  'retention',
  'segment-drift',
  'sweep',
  'user-aggregates',
]

test('what was missed while nothing ran is done at start, and the clock goes on', async () => {
  const first = await world.run(schedulePool)
  const second = await world.run(schedulePool)
  await waitFor(
    async () => {
      const rows =
        await world.sql`select distinct task from schedule_runs where outcome = 'done' order by task`
      return rows.map((row) => row.task).join() === TASKS.join()
    },
    { what: 'a run of every task' },
  )
  await waitFor(
    async () =>
      Number(
        (
          await world.sql`select count(*) as n from schedule_runs where task = 'sweep' and outcome = 'done'`
        )[0]?.n,
      ) > 3,
    { what: 'sweeps to go on' },
  )
  const [row] = await world.sql`select count(*)::int as n from schedule_runs where task = 'user-aggregates'`
  expect(row?.n).toBe(1)
  await Promise.all([first.stop(), second.stop()])
  expect([...first.dead, ...second.dead]).toEqual([])
})

test('schedules are set once, in UTC, and one that is no longer wanted goes', async () => {
  const queue = openQueue(world.producer, world.namespace, 'schedule')
  await queue.upsertJobScheduler('of-an-older-version', { every: 60_000 }, { name: 'schedule' })
  const pool = await world.run(schedulePool)
  const schedulers = await queue.getJobSchedulers(0, -1)
  expect(schedulers.map((one) => [one.key, one.pattern ?? one.every, one.tz]).sort()).toEqual([
    ['close-sessions', '0 */6 * * *', 'UTC'],
    ['metric-cuts', '20 * * * *', 'UTC'],
    ['partitions', '0 * * * *', 'UTC'],
    ['retention', '0 3 * * *', 'UTC'],
    ['segment-drift', '30 * * * *', 'UTC'],
    ['sweep', 200, undefined],
    ['user-aggregates', '0 2 * * *', 'UTC'],
  ])
  await pool.stop()
  await queue.close()
})

test('a Redis that has lost the schedules gets them back without a restart', async () => {
  const pool = await world.run(schedulePool)
  const queue = openQueue(world.producer, world.namespace, 'schedule')
  await queue.obliterate({ force: true })
  expect(await queue.getJobSchedulersCount()).toBe(0)
  const lostAt = new Date()
  await waitFor(
    async () =>
      (await world.sql`select 1 from schedule_runs where task = 'sweep' and started_at > ${lostAt}`).length >
      1,
    { what: 'sweeps after the loss' },
  )
  expect(await queue.getJobSchedulersCount()).toBe(TASKS.length)
  await pool.stop()
  await queue.close()
})
