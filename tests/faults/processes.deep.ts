// Rows 1, 2, 5, 18, 19, 20, 21 and 37: processes that die, are told to stop, stand still and wake up again, or are killed
// by what they work on.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { queueNames } from '../../queues/define.ts'
import { PIPELINE } from '../../queues/pipeline.ts'
import { type Deployment, PROCESS_A_POOL, startDeployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'
import { createNemesis, type Nemesis } from './nemesis.ts'
import { runRow } from './row.ts'

let deployment: Deployment
let nemesis: Nemesis
beforeAll(async () => {
  deployment = await startDeployment({
    processes: PROCESS_A_POOL,
    links: true,
    config: { scheduleTickMs: 100, maxStalls: 3, stopDeadlineMs: 8000 },
  })
  nemesis = createNemesis(deployment)
}, 120_000)
afterAll(async () => {
  await deployment?.close()
}, 60_000)

const lanesOf = (pool: string) => {
  const contract = PIPELINE.find((candidate) => candidate.name === pool)
  return contract === undefined ? [] : queueNames(contract, deployment.stack.config.shards)
}

test('row 1: a collector that is killed in the midst of batches resets its clients, whose retry lands once', async (context) => {
  await runRow(context, deployment, {
    id: '1',
    restarts: 3,
    connections: 12,
    async fault(load) {
      let cut = 0
      for (let kill = 1; kill <= 3; kill++) {
        await load.share(0.1 + kill * 0.2)
        cut += await nemesis.killAtWork('collector', async () => load.inFlight())
      }
      return { hits: { 'requests under way at the kills': cut } }
    },
  })
})

test('row 2: a collector told to stop under load answers what it took, ends with 0 in time, and no event is in doubt for long', async (context) => {
  const stops: { code: number | null; ms: number }[] = []
  await runRow(context, deployment, {
    id: '2',
    restarts: 2,
    async fault(load) {
      let underWay = 0
      for (let stop = 1; stop <= 2; stop++) {
        await load.share(0.1 + stop * 0.25)
        await waitFor(() => load.inFlight() > 0, { everyMs: 1, what: 'requests under way' })
        underWay += load.inFlight()
        stops.push(await nemesis.stopGently('collector'))
      }
      return { hits: { 'requests under way at SIGTERM': underWay }, figures: { stops } }
    },
  })
  for (const { code, ms } of stops) {
    expect(code, 'exit code after SIGTERM').toBe(0)
    expect(ms, 'ms until it had ended').toBeLessThan(10_000)
  }
})

test('row 5: a collector whose loop stands still for 4 s takes nothing twice and answers again at once', async (context) => {
  await runRow(context, deployment, {
    id: '5',
    restarts: 0,
    async fault(load) {
      const process = deployment.stack.processOf('collector')
      process.kill('SIGSTOP')
      await waitFor(() => load.inFlight() > 0, { what: 'requests that wait' })
      const waiting = load.inFlight()
      await nemesis.pause(4000)
      process.kill('SIGCONT')
      return { hits: { 'requests that waited': waiting } }
    },
  })
})

test('row 18: workers killed every second lose no job, and each is taken over within its lease', async (context) => {
  await runRow(context, deployment, {
    id: '18',
    restarts: 6,
    buyers: 80,
    async fault() {
      const active: Record<string, number> = {}
      for (const pool of ['persist', 'segment', 'deliver', 'persist', 'ingest', 'segment']) {
        const held = await nemesis.killAtWork(pool, () => deployment.activeJobs(lanesOf(pool)))
        active[pool] = (active[pool] ?? 0) + held
      }
      return { hits: active }
    },
  })
})

test('row 19: a worker told to stop while its job hangs hands it back within its deadline', async (context) => {
  let stopped = { code: -1 as number | null, ms: 0 }
  await runRow(context, deployment, {
    id: '19',
    restarts: 1,
    async fault() {
      const lock = await deployment.sql.reserve()
      try {
        await lock`begin`
        await lock`lock table events in access exclusive mode`
        const active = await waitFor(() => deployment.activeJobs(lanesOf('persist')), { what: 'a stuck job' })
        const ended = nemesis.stopGently('persist')
        stopped = await ended
        return { hits: { 'jobs that hung': active }, figures: { stopped } }
      } finally {
        await lock`rollback`
        lock.release()
      }
    },
  })
  expect(stopped.ms, 'ms until it had ended').toBeLessThan(11_500)
})

test('row 20: a worker that wakes up after its lock has expired writes nothing over what others did', async (context) => {
  const result = await runRow(context, deployment, {
    id: '20',
    restarts: 0,
    // Buyers are on their way for 20 s, longer than the three stand still: each of them finds work of its own.
    buyers: 300,
    async fault() {
      const { lockMs, stalledCheckMs } = deployment.stack.config
      const hits: Record<string, number> = {}
      const before = await deployment.stalledJobs()
      // These two are slowed, so that they can be met at work.
      for (const pool of ['segment', 'deliver']) deployment.links.of(pool, 'postgres').set({ latencyMs: 20 })
      for (const pool of ['segment', 'deliver', 'persist']) {
        const held = await nemesis.stopAtWork(pool, () => deployment.activeJobs(lanesOf(pool)))
        // Another process of the pool takes the zombie's jobs over while it stands still.
        const helper = await nemesis.startHelper(pool)
        await nemesis.pause(lockMs + 2 * stalledCheckMs + 500)
        deployment.stack.processOf(pool).kill('SIGCONT')
        await nemesis.pause(500)
        await helper.stop()
        hits[`${pool} jobs held`] = held
      }
      deployment.links.healAll()
      return { hits: { ...hits, 'jobs taken over': (await deployment.stalledJobs()) - before } }
    },
  })
  expect(result.deliveries.doubled, 'messages sent by the zombie too').toBe(0)
})

test('row 37: everything killed at once and started in another order comes to rest with every count right', async (context) => {
  await runRow(context, deployment, {
    id: '37',
    async fault(load) {
      const { redis, postgres, processes } = deployment.stack
      if (redis === undefined || postgres === undefined) throw new Error('no servers of its own')
      const active = await waitFor(
        () => deployment.activeJobs([...lanesOf('persist'), ...lanesOf('segment'), ...lanesOf('ingest')]),
        { everyMs: 2, what: 'jobs under way' },
      )
      const underWay = load.inFlight()
      for (const process of processes) process.kill('SIGKILL')
      redis.kill('SIGKILL')
      await Promise.all([postgres.restartImmediate(), nemesis.pause(1000).then(() => redis.restart())])
      return { hits: { 'jobs under way': active }, figures: { 'requests under way': underWay } }
    },
  })
})
