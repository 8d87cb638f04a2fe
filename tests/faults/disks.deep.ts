// Rows 28 and 29: the file system under Redis hangs, and is full. It is a small one of its own, so nothing else suffers.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LocalRedis } from '../../cli/local/redis.ts'
import { type Deployment, startDeployment } from '../support/deployment.ts'
import { waitFor } from '../support/wait-for.ts'
import { mountSmallDisk, type SmallDisk, whyNoMount } from './disk-faults.ts'
import { runRow } from './row.ts'

const noMount = whyNoMount()
if (noMount !== '') console.warn(`rows 28 and 29 are SKIPPED: ${noMount}`)
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

describe.skipIf(noMount !== '')('the disk of Redis', () => {
  let disk: SmallDisk
  let deployment: Deployment
  let redis: LocalRedis
  beforeAll(async () => {
    deployment = await startDeployment({
      prepare: (dataDir) => {
        disk = mountSmallDisk(join(dataDir, 'redis'), 96)
        return () => disk.unmount()
      },
    })
    if (deployment.stack.redis === undefined) throw new Error('this deployment has no Redis of its own')
    redis = deployment.stack.redis
  }, 120_000)
  afterAll(async () => {
    disk?.empty()
    await deployment?.close()
  }, 60_000)

  test('row 28: a disk that hangs for 6 s means 503 in time, and then everything goes on', async (context) => {
    const result = await runRow(context, deployment, {
      id: '28',
      restarts: 0,
      async fault(load) {
        disk.freeze()
        const acked = load.acked()
        await pause(3000)
        const ackedWhileFrozen = load.acked()
        await pause(3000)
        const waiting = load.inFlight()
        const after = load.acked()
        disk.thaw()
        return {
          hits: { 'requests without an answer': waiting },
          figures: { 'acked meanwhile': [ackedWhileFrozen - acked, after - ackedWhileFrozen] },
        }
      },
    })
    expect(result.requestsAgain, 'the collector said so').toBeGreaterThan(0)
  })

  test('row 29: on a full disk nothing is acknowledged that is not kept, and when there is room again all goes on', async (context) => {
    await runRow(context, deployment, {
      id: '29',
      restarts: 0,
      async fault(load) {
        const { pid } = redis
        disk.fill()
        await waitFor(() => !isAlive(pid), { timeoutMs: 20_000, what: 'Redis to stop on its full disk' })
        const acked = load.acked()
        await pause(2000)
        const after = load.acked()
        disk.empty()
        await redis.restart()
        return {
          hits: { 'servers stopped by the full disk': 1 },
          figures: { 'acked on the full disk': after - acked },
        }
      },
    })
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
