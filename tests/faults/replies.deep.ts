// Rows 4, 11, 12, 24 and 36: the reply is swallowed after the work was done, at each of the five hops, and a pipeline is
// cut in the middle. Whoever asked does not know, asks again, and everything must still be there once.

import { Value } from 'typebox/value'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodePayload } from '../../queues/codec.ts'
import { pauseQueues, resumeQueues } from '../../queues/control.ts'
import { persist } from '../../queues/pipeline.ts'
import { NormalBatch } from '../../schema/event.ts'
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

/** Waits until each plan has hit as often as it should, or says which has not. */
async function allHit(plans: Record<string, () => number>, times: number): Promise<Record<string, number>> {
  await waitFor(() => Object.values(plans).every((hits) => hits() >= times), {
    timeoutMs: 30_000,
    what: `${times} hits of each of ${Object.keys(plans).join(', ')}`,
  }).catch(() => {})
  return Object.fromEntries(Object.entries(plans).map(([name, hits]) => [name, hits()]))
}

test('row 4: a swallowed 200 makes the client send again, and the events are there once', async (context) => {
  const { url, proxy } = await deployment.links.beforeCollector()
  const result = await runRow(context, deployment, {
    id: '4',
    httpUrls: [url],
    restarts: 0,
    async fault() {
      const swallowed = proxy.plan({ on: 'reply', matches: /^HTTP\/1.1 200/, act: 'swallow', times: 10 })
      return { hits: await allHit({ 'answers swallowed': swallowed }, 10) }
    },
  })
  expect(result.requestsAgain, 'the client sent again').toBeGreaterThanOrEqual(10)
})

test('row 11: a swallowed reply to addBulk leaves one job, and the retry adds none that counts twice', async (context) => {
  const redis = deployment.links.of('collector', 'redis')
  await runRow(context, deployment, {
    id: '11',
    restarts: 0,
    async fault() {
      const swallowed = redis.plan({
        on: 'request',
        matches: /^evalsha .*-ingest\}:ingest:/,
        act: 'swallow',
        times: 8,
      })
      return { hits: await allHit({ 'adds swallowed': swallowed }, 8) }
    },
  })
})

test('row 12: an addBulk that is cut in the middle is sent again whole, and nothing is there twice', async (context) => {
  const toRedis = deployment.links.of('persist', 'redis')
  const ingestToRedis = deployment.links.of('ingest', 'redis')
  await runRow(context, deployment, {
    id: '12',
    restarts: 0,
    async fault() {
      const ofPersist = toRedis.plan({
        on: 'request',
        matches: /^evalsha .*-segment-\d\d\}:segment-/,
        act: 'cut',
        times: 6,
        skip: 1,
      })
      const ofIngest = ingestToRedis.plan({
        on: 'request',
        matches: /^evalsha .*-persist\}:persist:/,
        act: 'cut',
        times: 6,
        skip: 1,
      })
      return { hits: await allHit({ 'touched profiles cut': ofPersist, 'batches cut': ofIngest }, 6) }
    },
  })
})

test('row 11b: a worker whose completed job is not confirmed works it again without a trace', async (context) => {
  const links = ['ingest', 'persist', 'segment', 'deliver'].map(
    (pool) => [pool, deployment.links.of(pool, 'redis')] as const,
  )
  await runRow(context, deployment, {
    id: '11b',
    restarts: 0,
    async fault() {
      const plans = Object.fromEntries(
        links.map(([pool, redis]) => [
          pool,
          redis.plan({
            on: 'request',
            matches: new RegExp(`^evalsha .*-${pool}[-a-z0-9]*\\}:${pool}[-a-z0-9]*:.* completed`),
            act: 'swallow',
            times: 4,
          }),
        ]),
      )
      return { hits: await allHit(plans, 4) }
    },
  })
})

test('row 11c: an ingest worker that dies after it has handed on and before it has said so leaves one persist job a batch', async (context) => {
  const { redis, stack } = deployment
  const { namespace } = stack.config
  let waiting: string[] = []
  const held = new Set<string>()
  const ingestKey = `{${namespace}-ingest}:ingest`
  await runRow(context, deployment, {
    id: '11c',
    restarts: 3,
    async fault() {
      const before = await deployment.stalledJobs()
      await pauseQueues(redis, namespace, [persist.name])
      for (let death = 1; death <= 3; death++) {
        const process = stack.processOf('ingest')
        const restarts = process.restarts()
        const isCut = deployment.links.of('ingest', 'redis').plan({
          on: 'request',
          matches: /^evalsha .*-ingest\}:ingest:.* completed/,
          act: 'cut',
        })
        await waitFor(() => isCut() > 0, { everyMs: 1, what: 'a completion that is cut' })
        process.kill('SIGSTOP')
        for (const id of await deployment.activeJobIds(['ingest'])) held.add(id)
        process.kill('SIGKILL')
        await waitFor(() => process.restarts() > restarts, { what: 'ingest to be started again' })
        await waitFor(async () => (await deployment.stalledJobs()) >= before + death, {
          what: 'the jobs of the dead worker to be taken over',
        })
      }
      const twice = (await deployment.stalledJobs()) - before
      const left = async () => redis.exists(...[...held].map((id) => `${ingestKey}:${id}`))
      await waitFor(async () => (await left()) === 0, {
        timeoutMs: 60_000,
        what: 'what the dead held to be worked again',
      })
      waiting = await batchIdsOn(deployment, persist.name)
      await resumeQueues(redis, namespace, [persist.name])
      return { hits: { 'jobs worked twice': twice, 'batches that waited': waiting.length } }
    },
  })
  expect(waiting, 'one job for one batch').toEqual([...new Set(waiting)])
})

/** Which batches the waiting jobs of a queue carry. */
async function batchIdsOn({ redis, stack }: Deployment, queue: string): Promise<string[]> {
  const key = `{${stack.config.namespace}-${queue}}:${queue}`
  const ids = [...(await redis.lrange(`${key}:wait`, 0, -1)), ...(await redis.lrange(`${key}:paused`, 0, -1))]
  const texts = await Promise.all(ids.map((id) => redis.hget(`${key}:${id}`, 'data')))
  return texts.flatMap((text) => {
    const payload = decodePayload(JSON.parse(text ?? 'null'))
    return Value.Check(NormalBatch, payload) ? [payload.batchId] : []
  })
}

test('row 24: a COMMIT whose reply is swallowed counts as done when it is tried again', async (context) => {
  const links = ['persist', 'segment'].map((pool) => [pool, deployment.links.of(pool, 'postgres')] as const)
  await runRow(context, deployment, {
    id: '24',
    restarts: 0,
    async fault() {
      const plans = Object.fromEntries(
        links.map(([pool, postgres]) => [
          pool,
          postgres.plan({ on: 'reply', matches: /^C COMMIT/, act: 'swallow', times: 6 }),
        ]),
      )
      return { hits: await allHit(plans, 6) }
    },
  })
})

test('row 36: a provider took the message and its answer is swallowed: unknown, and never sent twice', async (context) => {
  const email = deployment.links.of('deliver', 'email')
  const webhook = deployment.links.of('deliver', 'webhook')
  const result = await runRow(context, deployment, {
    id: '36',
    restarts: 0,
    // A webhook's id tells its receiver, so it is sent again; a mail is not.
    deliveries: { repeated: 5 },
    async fault() {
      return {
        hits: await allHit(
          {
            mails: email.plan({ on: 'reply', matches: /^250.*(queued|message)/i, act: 'swallow', times: 5 }),
            webhooks: webhook.plan({ on: 'reply', matches: /^HTTP\/1.1 204/, act: 'swallow', times: 5 }),
          },
          5,
        ),
      }
    },
  })
  expect(result.deliveries.unknown, 'a mail without an answer is recorded as unknown').toBe(5)
})

test('row 36b: a worker that is killed between sending and recording leaves unknown outcomes, and no second mail', async (context) => {
  const email = deployment.links.of('deliver', 'email')
  await runRow(context, deployment, {
    id: '36b',
    restarts: 1,
    async fault() {
      const taken = email.plan({ on: 'reply', matches: /^250.*(queued|message)/i, act: 'hold', times: 3 })
      await waitFor(() => taken() >= 3, { what: 'mails taken' })
      const process = deployment.stack.processOf('deliver')
      const restarts = process.restarts()
      process.kill('SIGKILL')
      email.heal()
      await waitFor(() => process.restarts() > restarts, { what: 'deliver to be started again' })
      return { hits: { 'mails without an answer at the kill': taken() } }
    },
  })
})
