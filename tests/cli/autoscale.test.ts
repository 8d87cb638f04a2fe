// millrace autoscale on a small deployment of its own: a backlog brings processes, they end when it is gone, and Ctrl-C
// leaves none behind.
import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectProducer, whenReady } from '../../queues/connection.ts'
import { persist } from '../../queues/pipeline.ts'
import { createSender } from '../../queues/sender.ts'
import { connectSql } from '../../store/sql.ts'
import { type Deployment, startDeployment } from '../support/deployment.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { endOf, isRunning } from '../support/launched.ts'
import { waitFor } from '../support/wait-for.ts'

const JOBS = 250

let deployment: Deployment
const launched: ChildProcess[] = []
beforeAll(async () => {
  deployment = await startDeployment({})
}, 120_000)
afterAll(async () => {
  for (const child of launched) if (child.exitCode === null) child.kill('SIGKILL')
  await deployment.close()
})

function autoscale(...args: string[]) {
  const child = spawn(process.execPath, ['cli/main.ts', 'autoscale', ...args], {
    env: deployment.stack.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  launched.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (data) => {
      output += data
    })
  return { child, output: () => output }
}

/** Children of a process, out of /proc. */
function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((one) => {
      try {
        return new RegExp(`^PPid:\\s+${pid}$`, 'm').test(readFileSync(`/proc/${one}/status`, 'utf8'))
      } catch {
        return false
      }
    })
}

/** Keeps Postgres from taking events until it is released: what is sent meanwhile waits. */
async function holdPersist(): Promise<() => Promise<void>> {
  const { databaseUrl, namespace } = deployment.stack.config
  const sql = connectSql({ url: databaseUrl, namespace, max: 1, applicationName: 'hold' })
  const gate = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  const done = sql.begin(async (tx) => {
    await tx`lock table message_ids in exclusive mode`
    held.resolve()
    await gate.promise
  })
  await held.promise
  return async () => {
    gate.resolve()
    await done
    await sql.end({ timeout: 5 })
  }
}

async function sendBacklog(run: string): Promise<void> {
  const { redisUrl, namespace } = deployment.stack.config
  const redis = connectProducer(redisUrl)
  await whenReady(redis)
  const sender = createSender({ redis, namespace })
  const jobs = Array.from({ length: JOBS }, (_, i) => normalBatch([normalEvent({ userId: `${run}-${i}` })]))
  await sender.send(persist, jobs)
  await sender.close()
  redis.disconnect()
}

const events = async () => {
  const [row] = await deployment.sql<{ count: number }[]>`select count(*)::int as count from events`
  return row?.count ?? 0
}

test.runIf(process.platform === 'linux')(
  'a backlog brings processes, they go when it is worked off, and none outlives Ctrl-C',
  async () => {
    const before = await events()
    const release = await holdPersist()
    await sendBacklog('up')
    const { child, output } = autoscale('--every', '1', '--max-processes', '2', '--scale-down-after', '2')
    const pid = child.pid ?? 0
    await waitFor(() => /persist {2}1 -> 3: \d+ jobs ask for 3/.test(output()), {
      timeoutMs: 20_000,
      what: output(),
    })
    await waitFor(() => childrenOf(pid).length === 2, { timeoutMs: 20_000 })
    await release()
    await waitFor(async () => (await events()) === before + JOBS, { timeoutMs: 30_000 })
    await waitFor(() => /persist {2}3 -> 2: .*\n(.*\n)*.*persist {2}2 -> 1: /.test(output()), {
      timeoutMs: 30_000,
    })
    await waitFor(() => childrenOf(pid).length === 0, { timeoutMs: 20_000 })

    const releaseAgain = await holdPersist()
    await sendBacklog('again')
    await waitFor(() => childrenOf(pid).length === 2, { timeoutMs: 20_000 })
    const children = childrenOf(pid)
    await releaseAgain()
    child.kill('SIGINT')
    expect(await endOf(child)).toEqual({ code: 0, signal: null })
    expect(output()).toContain('Stopping the processes that were started')
    expect(children.filter(isRunning)).toEqual([])
    await waitFor(async () => (await events()) === before + 2 * JOBS, { timeoutMs: 30_000 })
  },
  120_000,
)

test('a dry run says what it would do and starts nothing', async () => {
  const release = await holdPersist()
  await sendBacklog('dry')
  const { child, output } = autoscale('--every', '1', '--dry-run')
  await waitFor(() => /persist {2}1 -> 3: \d+ jobs ask for 3 \(not done: --dry-run\)/.test(output()), {
    timeoutMs: 20_000,
  })
  expect(childrenOf(child.pid ?? 0)).toEqual([])
  child.kill('SIGINT')
  expect(await endOf(child)).toEqual({ code: 0, signal: null })
  await release()
})
