// A deployment on one machine and its pool processes: one at a time in a data folder, everything down again when a step
// fails or is interrupted, and a process that dies is started again.
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPoolProcess } from '../../../cli/local/children.ts'
import { claim } from '../../../cli/local/claim.ts'
import { startStack } from '../../../cli/local/stack.ts'
import { readConfig } from '../../../runtime/config.ts'
import { type CliWorld, cliWorld } from '../../support/cli.ts'
import { isRunning } from '../../support/launched.ts'
import { waitFor } from '../../support/wait-for.ts'

let cli: CliWorld
beforeAll(async () => {
  cli = await cliWorld()
})
afterAll(() => cli.close())

const start = (options: Partial<Parameters<typeof startStack>[0]> = {}) =>
  startStack({
    config: readConfig(cli.env),
    env: process.env,
    processes: [],
    say: () => {},
    ...options,
  })

const startPool = (env: Record<string, string> = {}) =>
  startPoolProcess({
    pools: ['schedule'],
    env: { ...process.env, ...cli.env, ...env },
    logDir: join(cli.world.config.dataDir, 'logs'),
    stopDeadlineMs: 5000,
  })

test('a name can be held once, and again when it is released', async () => {
  const first = await claim('a test of claims')
  expect(first).toBeDefined()
  expect(await claim('a test of claims')).toBeUndefined()
  const other = await claim('another test of claims')
  expect(other).toBeDefined()
  await first?.release()
  const second = await claim('a test of claims')
  expect(second).toBeDefined()
  await second?.release()
  await other?.release()
})

test('a data folder is used by one deployment at a time', async () => {
  const stack = await start()
  await expect(start()).rejects.toThrow('another Millrace uses')
  expect((await fetch(stack.sinks.outbox.url)).status).toBe(200)
  await stack.stop()
  await expect(fetch(stack.sinks.outbox.url)).rejects.toThrow()
  await (await start()).stop()
})

test('a start that fails halfway leaves nothing behind', async () => {
  await expect(start({ processes: [['schedule'], ['no-such-pool']] })).rejects.toThrow('no-such-pool')
  await (await start()).stop()
  const others = await cli.sql<{ application_name: string }[]>`
    select application_name from pg_stat_activity
    where datname = current_database() and application_name like 'millrace-%'`
  expect(others).toEqual([])
})

test('an interrupted start comes down again', async () => {
  const controller = new AbortController()
  const say = () => controller.abort()
  await expect(start({ say, signal: controller.signal })).rejects.toThrow('aborted')
  await (await start()).stop()
})

test('a port that is taken is named with its setting before anything starts', async () => {
  const holder = createServer()
  const port = await new Promise<number>((resolve) => {
    holder.listen(0, '127.0.0.1', () => {
      const address = holder.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
  const config = { ...readConfig(cli.env), outboxPort: port }
  await expect(start({ config })).rejects.toThrow(`${port} (MILLRACE_OUTBOX_PORT)`)
  holder.close()
})

test('a pool process that dies is started again, and stays down once it was stopped', async () => {
  const pool = await startPool()
  const before = pool.pid() ?? 0
  pool.kill('SIGKILL')
  await waitFor(() => !isRunning(before), { what: 'its end' })
  await waitFor(async () => pool.pid() !== before && (await probe(pool.addresses().probes)) === 200, {
    what: 'its return',
  })
  expect(pool.restarts()).toBe(1)
  const after = pool.pid() ?? 0
  await pool.stop()
  expect(isRunning(after)).toBe(false)
  expect(pool.restarts()).toBe(1)
})

test('a pool process that cannot start says why, and is gone', async () => {
  await expect(startPool({ REDIS_URL: 'redis://127.0.0.1:1' })).rejects.toThrow(
    /schedule could not start: .*Redis/s,
  )
})

async function probe(url: string | undefined): Promise<number> {
  return url === undefined ? 0 : (await fetch(`${url}/healthz`)).status
}
