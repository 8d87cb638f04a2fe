// Due timers become jobs of their shards: each once, again when the job got lost, and nothing when nothing is due.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { tellTimers } from '../../../cache/timer-news.ts'
import { shardName } from '../../../domain/buckets.ts'
import { openQueue } from '../../../queues/sender.ts'
import { timerStatements } from '../../../store/memberships.ts'
import { inTransaction } from '../../../store/sql.ts'
import { startTimers, tick, timerTurns } from '../../../workers/schedule/timers.ts'
import { scheduleDeps } from '../../support/schedule-deps.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

const NOW = Date.UTC(2026, 10, 21, 12)
// One profile a shard (4 shards of 256 buckets each), and a second one in the last.
const PEOPLE = [1, 2, 3, 4, 5].map((number, i) => number * 1024 + Math.min(i, 3) * 256)

let world: World
beforeAll(async () => {
  world = await testWorld({ scheduleTickMs: 50 })
})
afterAll(() => world.close())
beforeEach(async () => {
  await world.sql`delete from segment_timers`
  for (let shard = 0; shard < 4; shard++) {
    const queue = openQueue(world.producer, world.namespace, `segment-${shardName(shard)}`)
    await queue.obliterate({ force: true })
    await queue.close()
  }
})

const due = (at: number) =>
  inTransaction(world.sql, (tx) =>
    Promise.all(
      timerStatements(
        tx,
        PEOPLE.map((profileId) => ({ profileId, wakeAtMs: at })),
      ),
    ),
  )

async function jobs() {
  const found: { shard: number; reason: string; profileIds: number[] }[] = []
  for (let shard = 0; shard < 4; shard++) {
    const queue = openQueue(world.producer, world.namespace, `segment-${shardName(shard)}`)
    found.push(...(await queue.getJobs(['waiting'])).map((job) => job.data))
    await queue.close()
  }
  return found
}

test('a due timer is sent to its shard once while its lease holds, and again when it is over', async () => {
  await due(NOW - 1)
  const deps = scheduleDeps(world, NOW)
  expect(await tick(deps)).toEqual({ due: 5, nextInMs: 10_000 })
  const sent = await jobs()
  expect(sent.map((job) => job.reason)).toEqual(['time', 'time', 'time', 'time'])
  expect(sent.flatMap((job) => job.profileIds).sort((a, b) => a - b)).toEqual(PEOPLE)
  deps.clock.advance(5_000)
  await tick(deps)
  expect(await jobs()).toHaveLength(4)
  // The same people while their job still waits: the same job.
  deps.clock.advance(10_000)
  await tick(deps)
  expect(await jobs()).toHaveLength(4)
  const runs = await world.sql`select counts from schedule_runs where task = 'segment-timers' order by run_id`
  expect(runs.map((run) => run.counts)).toEqual([
    { due: 5, jobs: 4 },
    { due: 5, jobs: 4 },
  ])
})

test('a look tells when the next timer is due', async () => {
  const deps = scheduleDeps(world, NOW)
  expect(await tick(deps)).toEqual({ due: 0, nextInMs: Infinity })
  await due(NOW + 1_700)
  expect(await tick(deps)).toEqual({ due: 0, nextInMs: 1_700 })
  await due(NOW + 3_600_000)
  expect(await tick(deps)).toEqual({ due: 0, nextInMs: 3_600_000 })
})

test('the loop looks when timers were written, when one is due, when a lease ends, and after a minute', async () => {
  const deps = scheduleDeps(world, NOW)
  const turn = timerTurns(deps)
  expect(await turn()).toBe(1_000)
  // Without a word: found after a minute.
  await due(NOW)
  expect(await turn()).toBe(1_000)
  expect(await jobs()).toEqual([])
  deps.clock.advance(59_000)
  expect(await turn()).toBe(1_000)
  deps.clock.advance(1_000)
  expect(await turn()).toBe(1_000)
  expect(await jobs()).toHaveLength(4)
  // Leased, and no evaluation has moved it: again when the lease ends.
  deps.clock.advance(600_000)
  await turn()
  const runs = await world.sql`select count(*)::int as n from schedule_runs where task = 'segment-timers'`
  deps.clock.advance(9_000)
  expect(await turn()).toBe(1_000)
  deps.clock.advance(1_000)
  await turn()
  expect(await world.sql`select count(*)::int as n from schedule_runs where task = 'segment-timers'`).toEqual(
    [{ n: Number(runs[0]?.n) + 1 }],
  )
  // Also when a look in between, for news of other people, finds nothing due.
  deps.clock.advance(5_000)
  await tellTimers(world.cache)
  expect(await turn()).toBe(1_000)
  deps.clock.advance(4_000)
  expect(await turn()).toBe(1_000)
  // With word: at the next turn, which then knows when to come back.
  await due(deps.clock.now() + 1_700)
  await tellTimers(world.cache)
  expect(await turn()).toBe(1_000)
  deps.clock.advance(1_000)
  expect(await turn()).toBe(700)
  await due(deps.clock.now() + 1)
  await tellTimers(world.cache)
  expect(await turn()).toBe(50)
})

test('two loops at once send every timer once, and both stop when told', async () => {
  await due(NOW - 1)
  const loops = [startTimers(scheduleDeps(world, NOW)), startTimers(scheduleDeps(world, NOW))]
  await waitFor(async () => (await jobs()).flatMap((job) => job.profileIds).length >= 5)
  await Promise.all(loops.map((loop) => loop.stop()))
  const profileIds = (await jobs()).flatMap((job) => job.profileIds)
  expect(profileIds.sort((a, b) => a - b)).toEqual(PEOPLE)
})
