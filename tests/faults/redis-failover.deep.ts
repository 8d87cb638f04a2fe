// A master that dies while its replica lags, and Sentinel puts the replica in its place: what was acknowledged and not yet
// replicated is lost, which is measured here, unless accepting waits for a replica (MILLRACE_REDIS_WAIT_REPLICAS=1).
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterEach, expect, test } from 'vitest'
import { pauseQueues } from '../../queues/control.ts'
import { type Deployment, startDeployment } from '../support/deployment.ts'
import { type SentinelGroup, startSentinelGroup } from '../support/redis-sentinel.ts'
import { waitFor } from '../support/wait-for.ts'
import { judgeEvents, printTable } from './judge.ts'
import { openRun, runLoad, shopping } from './load.ts'

const EVENTS_PER_SECOND = 1000
/** How far the replica lags behind when its master dies. */
const LAG_MS = 500
const closing: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
}, 60_000)

async function failOver(waitReplicas: number) {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-sentinel-'))
  closing.push(() => rm(dir, { recursive: true, force: true }))
  const group: SentinelGroup = await startSentinelGroup(dir)
  closing.push(() => group.stop())
  const deployment: Deployment = await startDeployment({
    config: { redisUrl: group.url, redisWaitReplicas: waitReplicas },
  })
  closing.push(() => deployment.close())
  const { ledgerFile, ledger, startMs, common } = await openRun(deployment, 20)

  let acked = 0
  let enough = Number.POSITIVE_INFINITY
  const load = runLoad({
    ...common,
    messages: shopping(startMs),
    eventsPerSecond: EVENTS_PER_SECOND,
    isEnough: (count) => {
      acked = count
      return count >= enough
    },
  })
  await waitFor(() => acked >= 3000, { timeoutMs: 60_000, what: 'some load' })
  const ackedInStep = acked
  await loseStep(group)
  // What is accepted now lies in Redis only.
  await pauseQueues(deployment.redis, deployment.stack.config.namespace, ['ingest', 'persist'])
  await new Promise((resolve) => setTimeout(resolve, LAG_MS))
  group.master.kill('SIGKILL')
  const diedAt = Date.now()
  const ackedAtDeath = acked
  await group.failedOver()
  // Comes back as a replica of its successor.
  await group.master.restart()
  await waitFor(() => acked > ackedAtDeath + 200, { timeoutMs: 60_000, what: 'events to be accepted again' })
  const backAfterMs = Date.now() - diedAt
  enough = acked + 2000
  await load
  await ledger.close()
  await deployment.settled(90_000)
  const events = await judgeEvents(deployment.sql, ledgerFile)
  printTable(`Sentinel failover, waiting for ${waitReplicas} replicas`, {
    'acked while the replica lagged': ackedAtDeath - ackedInStep,
    'accepting again, ms': backAfterMs,
    ...events,
  })
  return { events, ackedWhileLagging: ackedAtDeath - ackedInStep }
}

/** The replica hears nothing more of its master, but stays what Sentinel can promote. */
async function loseStep({ replica }: SentinelGroup): Promise<void> {
  const client = new Redis(replica.url)
  await client.replicaof('127.0.0.1', 1)
  client.disconnect()
}

test('without waiting for a replica, a failover loses at most what was acknowledged while the replica lagged', async () => {
  const { events, ackedWhileLagging } = await failOver(0)
  expect(events).toMatchObject({ duplicated: 0, phantom: 0, altered: 0, failed: 0 })
  expect(ackedWhileLagging).toBeGreaterThan(0)
  expect(events.lost).toBeGreaterThan(0)
  // Answers that were under way when the lag began or when the master died.
  expect(events.lost).toBeLessThanOrEqual(ackedWhileLagging + 6 * 20 * 2)
}, 240_000)

test('waiting for a replica, a failover loses nothing that was acknowledged', async () => {
  const { events, ackedWhileLagging } = await failOver(1)
  expect(events).toMatchObject({ lost: 0, duplicated: 0, phantom: 0, altered: 0, failed: 0 })
  expect(ackedWhileLagging).toBeLessThanOrEqual(6 * 20)
}, 240_000)
