// A run is a row: it keeps others out while it lives, and tells what it did when it is over.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { beginRun } from '../../../store/schedule-runs.ts'
import { runTask } from '../../../workers/schedule/run-task.ts'
import { NEVER, scheduleDeps } from '../../support/schedule-deps.ts'
import { testWorld, type World } from '../../support/world.ts'

let world: World
beforeAll(async () => {
  world = await testWorld({ lockMs: 600 })
})
afterAll(() => world.close())

const runsOf = (task: string) =>
  world.sql`select outcome, counts, error from schedule_runs where task = ${task} order by run_id`

test('twenty processes that are told of a task at once run it once', async () => {
  const deps = scheduleDeps(world, Date.now())
  let runs = 0
  const work = async () => {
    runs++
    // Longer than the lease: the run has to be kept alive meanwhile.
    await new Promise((resolve) => setTimeout(resolve, 700))
    return { things: 7 }
  }
  await Promise.all(Array.from({ length: 20 }, () => runTask(work, 'close-sessions', deps, NEVER)))
  await runTask(work, 'partitions', deps, NEVER)
  expect(runs).toBe(2)
  expect(await runsOf('close-sessions')).toEqual([{ outcome: 'done', counts: { things: 7 }, error: null }])
})

test('a run that throws is a row with its reason, and the job learns of it', async () => {
  const deps = scheduleDeps(world, Date.now())
  const work = async () => {
    throw new Error('no luck')
  }
  await expect(runTask(work, 'retention', deps, NEVER)).rejects.toThrow('no luck')
  expect(await runsOf('retention')).toEqual([{ outcome: 'failed', counts: {}, error: 'Error: no luck' }])
  await runTask(async () => ({ n: 1 }), 'retention', deps, NEVER)
  expect((await runsOf('retention')).at(-1)).toMatchObject({ outcome: 'done' })
})

test('the run of a process that died is taken over when its lease is past', async () => {
  const deps = scheduleDeps(world, Date.now())
  expect(await beginRun(world.sql, 'user-aggregates', 50)).toBeDefined()
  expect(await beginRun(world.sql, 'user-aggregates', 50)).toBeUndefined()
  await world.sql`update schedule_runs set lease_until = now() - interval '1 second' where finished_at is null`
  await runTask(async () => ({ n: 1 }), 'user-aggregates', deps, NEVER)
  expect(await runsOf('user-aggregates')).toEqual([
    { outcome: 'failed', counts: {}, error: 'its process died' },
    { outcome: 'done', counts: { n: 1 }, error: null },
  ])
})
