// Rows 22, 23, 26 and 27: what Postgres refuses, a server that crashes, a lock that is held, a database that turns read-only.
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { persist } from '../../queues/pipeline.ts'
import { createSender } from '../../queues/sender.ts'
import { type Deployment, PROCESS_A_POOL, startDeployment } from '../support/deployment.ts'
import { normalEvent } from '../support/factory.ts'
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

test('row 22: of a batch of 500 put straight on the queue, one row is refused and 499 are kept', async (context) => {
  const { redis, sql, stack } = deployment
  const sender = createSender({ redis, namespace: stack.config.namespace })
  const bad = 'bad-250'
  const events = Array.from({ length: 500 }, (_, n) =>
    normalEvent({
      messageId: n === 250 ? bad : `good-${n}`,
      userId: `direct-${n % 50}`,
      // A NUL is what the collector refuses and jsonb cannot hold.
      ...(n === 250 ? { properties: '{"name":"\\u0000"}' } : {}),
    }),
  )
  const fate = async () => {
    const [row] = await sql<{ kept: number; failed: string | null }[]>`
      select (select count(*)::int from events where message_id like 'good-%') as kept,
        (select sqlstate from failed_events where message_id = ${bad}) as failed`
    return row ?? { kept: 0, failed: null }
  }
  await runRow(context, deployment, {
    id: '22',
    restarts: 0,
    async fault() {
      await sender.send(persist, [{ v: 1, batchId: randomUUID(), events }])
      await waitFor(async () => (await fate()).failed !== null && (await fate()).kept >= 499, {
        what: 'the neighbours to be kept',
      }).catch(() => {})
      expect(await fate(), 'the neighbours of a bad row').toEqual({
        kept: 499,
        failed: expect.stringMatching(/^22/),
      })
      return { hits: { 'rows refused': 1 } }
    },
  })
})

test('row 23: a Postgres that crashes recovers, and a backend that is killed takes the others with it', async (context) => {
  const { postgres } = deployment.stack
  await runRow(context, deployment, {
    id: '23',
    restarts: 0,
    async fault(load) {
      if (postgres === undefined) throw new Error('no Postgres of its own')
      const atCrash = await waitFor(() => deployment.activeJobs(['persist']), { everyMs: 2, what: 'jobs' })
      await postgres.restartImmediate()
      await load.share(0.5)
      const backend = await waitFor(
        async () => {
          const [row] = await deployment.sql<{ pid: number }[]>`
            select pid from pg_stat_activity where application_name like 'millrace-persist%' and state <> 'idle' limit 1`
          return row?.pid
        },
        { everyMs: 2, what: 'a busy backend' },
      )
      process.kill(backend, 'SIGKILL')
      await pause(1500)
      return { hits: { 'jobs at the crash': atCrash, 'backends killed': 1 } }
    },
  })
})

test('row 26: a table that is locked for 6 s makes a backlog, which drains', async (context) => {
  await runRow(context, deployment, {
    id: '26',
    restarts: 0,
    async fault(load) {
      const lock = await deployment.sql.reserve()
      await lock`begin`
      await lock`lock table events in access exclusive mode`
      await pause(6000)
      const waiting = await deployment.activeJobs(['persist'])
      const acked = load.acked()
      await lock`rollback`
      lock.release()
      return { hits: { 'jobs that waited for the lock': waiting }, figures: { 'acked meanwhile': acked } }
    },
  })
})

test('row 27: a database that turns read-only fails no job for good', async (context) => {
  const { sql } = deployment
  await runRow(context, deployment, {
    id: '27',
    restarts: 0,
    settleWithinMs: 120_000,
    async fault() {
      const endSessions = () => sql`
        select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'millrace-%'`
      await sql`alter database postgres set default_transaction_read_only = on`
      await endSessions()
      await pause(5000)
      const handedBack = await laterOf(deployment)
      const writer = await sql.reserve()
      await writer`set default_transaction_read_only = off`
      await writer`alter database postgres set default_transaction_read_only = off`
      await endSessions()
      writer.release()
      return { hits: { 'jobs handed back': handedBack } }
    },
  })
})

/** Jobs that persist handed back without spending an attempt, by its own counter. */
async function laterOf({ stack }: Deployment): Promise<number> {
  const { probes } = stack.processOf('persist').addresses()
  const text = await (await fetch(`${probes}/metrics`)).text()
  return Number(/millrace_jobs_total\{pool="persist",outcome="later"\} (\d+)/.exec(text)?.[1] ?? 0)
}
