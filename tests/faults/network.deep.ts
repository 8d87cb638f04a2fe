// Rows 10, 25, 31 and 32, and the providers' rows 35: connections that are cut, slow, one-sided or ended by the server, and
// providers that refuse, put off or hang.
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Deployment, PROCESS_A_POOL, startDeployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'
import { runRow } from './row.ts'

let deployment: Deployment
beforeAll(async () => {
  deployment = await startDeployment({ processes: PROCESS_A_POOL, links: true })
}, 120_000)
afterAll(async () => {
  await deployment?.close()
}, 60_000)

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

test('row 10: connections to Redis that are cut every second do not stop a worker for good', async (context) => {
  const result = await runRow(context, deployment, {
    id: '10',
    restarts: 0,
    buyers: 100,
    async fault() {
      let cut = 0
      for (let second = 0; second < 10; second++) {
        for (const proxy of deployment.links.all('redis')) cut += proxy.reset()
        await pause(1000)
      }
      return { hits: { 'connections cut': cut } }
    },
  })
  expect(result.atRestAfterMs, 'ms from the last cut until everything was at rest').toBeLessThan(60_000)
})

test('row 10b: connections to Postgres that are cut twice a second lose no transaction and double none', async (context) => {
  await runRow(context, deployment, {
    id: '10b',
    restarts: 0,
    buyers: 100,
    async fault() {
      let cut = 0
      for (let half = 0; half < 16; half++) {
        for (const proxy of deployment.links.all('postgres')) cut += proxy.reset()
        await pause(500)
      }
      return { hits: { 'connections cut': cut } }
    },
  })
})

test('row 25: sessions that Postgres ends over and over cost retries, no event and no process', async (context) => {
  await runRow(context, deployment, {
    id: '25',
    restarts: 0,
    async fault() {
      let ended = 0
      for (let round = 0; round < 30; round++) {
        const rows = await deployment.sql<{ ended: boolean }[]>`
          select pg_terminate_backend(pid) as ended from pg_stat_activity
          where application_name like 'millrace-%' and state <> 'idle'`
        ended += rows.filter((row) => row.ended).length
        await pause(200)
      }
      return { hits: { 'busy sessions ended': ended } }
    },
  })
})

test('row 25b: with every connection of Postgres taken, work waits and goes on when some are free', async (context) => {
  await runRow(context, deployment, {
    id: '25b',
    restarts: 0,
    settleWithinMs: 120_000,
    async fault() {
      const before = await laterOf(deployment)
      const taken = await takeEveryConnection(deployment)
      await pause(4000)
      const handedBack = (await laterOf(deployment)) - before
      await Promise.all(taken.map((client) => client.end()))
      return { hits: { 'connections taken': taken.length, 'jobs handed back': handedBack } }
    },
  })
})

/** Takes every connection that Postgres has to give, those of the pools too. */
async function takeEveryConnection({ sql, stack }: Deployment): Promise<Client[]> {
  const takeAll = async () => {
    const clients = await Promise.all(
      Array.from({ length: 110 }, async () => {
        const client = new Client({ connectionString: stack.config.databaseUrl })
        client.on('error', () => {})
        return client.connect().then(
          () => [client],
          () => [],
        )
      }),
    )
    return clients.flat()
  }
  const keeper = await sql.reserve()
  const taken = await takeAll()
  for (let round = 0; round < 3; round++) {
    await keeper`select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'millrace-%'`
    taken.push(...(await takeAll()))
  }
  keeper.release()
  return taken
}

/** Jobs that persist handed back without spending an attempt, by its own counter. */
async function laterOf({ stack }: Deployment): Promise<number> {
  const { probes } = stack.processOf('persist').addresses()
  const text = await (await fetch(`${probes}/metrics`)).text()
  return Number(/millrace_jobs_total\{pool="persist",outcome="later"\} (\d+)/.exec(text)?.[1] ?? 0)
}

test('row 31: a collector cut off from Redis answers 503 in time, and a worker cut off from Postgres waits', async (context) => {
  const result = await runRow(context, deployment, {
    id: '31',
    restarts: 0,
    async fault(load) {
      const edge = deployment.links.of('collector', 'redis')
      const keep = deployment.links.of('persist', 'postgres')
      edge.set({ holdRequests: true, holdReplies: true })
      keep.set({ holdRequests: true, holdReplies: true })
      await pause(5000)
      const active = await deployment.activeJobs(['persist'])
      const waiting = load.inFlight()
      deployment.links.healAll()
      return { hits: { 'persist jobs held up': active, 'requests without an answer': waiting } }
    },
  })
  expect(result.requestsAgain, 'the collector said so').toBeGreaterThan(0)
})

test('row 31b: one-sided partitions, where requests arrive and replies do not, heal without a restart', async (context) => {
  await runRow(context, deployment, {
    id: '31b',
    restarts: 0,
    settleWithinMs: 120_000,
    async fault(load) {
      let held = 0
      for (const [pool, peer] of [
        ['collector', 'redis'],
        ['ingest', 'redis'],
        ['persist', 'postgres'],
        ['segment', 'redis'],
      ] as const) {
        const proxy = deployment.links.of(pool, peer)
        await waitFor(async () => load.inFlight() > 0, { what: 'load' })
        proxy.set({ holdReplies: true })
        held += proxy.connections()
        await pause(2500)
        proxy.heal()
      }
      return { hits: { 'connections without replies': held } }
    },
  })
})

test('row 32: latency of 100 to 200 ms and 256 kB/s on every hop make it slow, not wrong', async (context) => {
  await runRow(context, deployment, {
    id: '32',
    restarts: 0,
    eventsPerSecond: 300,
    buyers: 50,
    settleWithinMs: 150_000,
    async fault(load) {
      for (const proxy of deployment.links.all())
        proxy.set({ latencyMs: 100, jitterMs: 100, bytesPerSecond: 256_000 })
      const before = load.acked()
      await pause(8000)
      const acked = load.acked() - before
      deployment.links.healAll()
      return { hits: { 'events acknowledged meanwhile': acked } }
    },
  })
})

test('row 35: a provider that puts off, refuses and hangs holds up no other channel', async (context) => {
  const { sinks } = deployment.stack
  let pushed = 0
  const result = await runRow(context, deployment, {
    id: '35',
    restarts: 0,
    settleWithinMs: 120_000,
    async fault(load) {
      sinks.failNext('webhook', 20, 'later')
      sinks.pause('email')
      const before = sinks.counts()
      await load.share(0.9)
      await waitFor(
        async () => (await deployment.activeJobs(['deliver-email'])) > 0 && sinks.counts().push > before.push,
        {
          timeoutMs: 30_000,
          what: 'mails that hang, and pushes that do not',
        },
      ).catch(() => {})
      pushed = sinks.counts().push - before.push
      const mails = sinks.counts().email - before.email
      const waiting = await deployment.activeJobs(['deliver-email'])
      sinks.resume('email')
      return { hits: { 'mails without an answer': waiting, 'pushes meanwhile': pushed }, figures: { mails } }
    },
  })
  expect(result.deliveries.states, 'all of them were sent in the end').toMatchObject({
    sent: 180 - result.deliveries.unknown,
  })
})
