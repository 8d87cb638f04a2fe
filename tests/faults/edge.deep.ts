// Rows 3, 14 and 38: clients that drip, a Redis that no process may start on, a collector without file descriptors.
import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startPoolProcess } from '../../cli/local/children.ts'
import { startRedis } from '../../cli/local/redis.ts'
import { type Deployment, PROCESS_A_POOL, startDeployment } from '../support/deployment.ts'
import { runRow } from './row.ts'

let deployment: Deployment
beforeAll(async () => {
  deployment = await startDeployment({ processes: PROCESS_A_POOL })
}, 120_000)
afterAll(async () => {
  await deployment?.close()
}, 60_000)

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

test('row 3: clients that drip their requests are sent away and keep nobody else waiting', async (context) => {
  const answers: string[] = []
  const result = await runRow(context, deployment, {
    id: '3',
    restarts: 0,
    eventsPerSecond: 200,
    async fault() {
      const half = Array.from({ length: 100 }, () => drip(deployment.httpUrl, 'headers', answers))
      const dripping = Array.from({ length: 100 }, () => drip(deployment.httpUrl, 'body', answers))
      const until = Date.now() + 75_000
      while (answers.length < 200 && Date.now() < until) await pause(200)
      for (const socket of [...half, ...dripping]) socket.destroy()
      const timedOut = answers.filter((answer) => answer.startsWith('HTTP/1.1 408')).length
      return { hits: { 'clients sent away': answers.length }, figures: { 'with 408': timedOut } }
    },
  })
  expect(answers.length, 'clients that were sent away').toBe(200)
  expect(result.requestsAgain, 'nobody else had to send again').toBe(0)
})

/** A request that comes a byte a second, in its headers or in its body; notes what ended it. */
function drip(httpUrl: string, part: 'headers' | 'body', answers: string[]): Socket {
  const socket = connect({ port: Number(new URL(httpUrl).port), host: '127.0.0.1' })
  const head = 'POST /v1/batch HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n'
  let answer = ''
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString('latin1')
  })
  socket.write(part === 'headers' ? head : `${head}content-length: 1000\r\n\r\n{`)
  const timer = setInterval(() => socket.writable && socket.write(part === 'headers' ? 'a' : ' '), 1000)
  socket.on('close', () => {
    clearInterval(timer)
    answers.push(answer)
  })
  return socket
}

test.each([
  { setting: 'maxmemory-policy', line: 'maxmemory-policy allkeys-lru' },
  { setting: 'appendonly', line: 'appendonly no' },
  { setting: 'appendfsync', line: 'appendfsync everysec' },
])('row 14: no process starts on a Redis whose $setting may lose events', async ({ setting, line }) => {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-unsafe-'))
  const redis = await startRedis({ dir, port: 0, log: () => {}, env: process.env, extra: [line] })
  const { env, config } = deployment.stack
  try {
    const started = await startPoolProcess({
      pools: ['ingest'],
      env: { ...env, REDIS_URL: redis.url },
      logDir: join(config.dataDir, 'logs'),
      stopDeadlineMs: 1000,
    }).then(
      async (process) => {
        await process.stop()
        return 'it started'
      },
      (error: Error) => error.message,
    )
    expect(started, 'a process refuses a Redis that may lose events').toContain('unsafe_redis')
    expect(started).toContain(setting)
  } finally {
    await redis.stop()
    await rm(dir, { recursive: true, force: true })
  }
})

test('row 14b: a Redis that is made unsafe while everything runs turns every process not ready, until it is mended', async () => {
  const { redis, stack } = deployment
  const ready = () =>
    Promise.all(stack.processes.map(async (one) => (await fetch(`${one.addresses().probes}/readyz`)).status))
  expect(new Set(await ready())).toEqual(new Set([200]))
  for (const [setting, unsafe, safe] of [
    ['appendfsync', 'everysec', 'always'],
    ['maxmemory-policy', 'allkeys-lru', 'noeviction'],
  ] as const) {
    await redis.config('SET', setting, unsafe)
    expect(new Set(await ready()), `ready with ${setting} ${unsafe}`).toEqual(new Set([503]))
    await redis.config('SET', setting, safe)
    expect(new Set(await ready())).toEqual(new Set([200]))
  }
})

test('row 38: a collector out of file descriptors turns new clients away, answers the others, and recovers', async (context) => {
  const { stack, httpUrl } = deployment
  await runRow(context, deployment, {
    id: '38',
    restarts: 0,
    async fault() {
      const pid = String(stack.processOf('collector').pid())
      const open = execFileSync('ls', [`/proc/${pid}/fd`], { encoding: 'utf8' })
        .trim()
        .split('\n').length
      execFileSync('prlimit', ['--pid', pid, `--nofile=${open + 20}:4096`])
      const sockets = Array.from({ length: 200 }, () => {
        const socket = connect({ port: Number(new URL(httpUrl).port), host: '127.0.0.1' })
        socket.on('error', () => {})
        return socket
      })
      await pause(3000)
      const used = execFileSync('ls', [`/proc/${pid}/fd`], { encoding: 'utf8' })
        .trim()
        .split('\n').length
      const full = used >= open + 18 ? sockets.length - (used - open) : 0
      for (const socket of sockets) socket.destroy()
      execFileSync('prlimit', ['--pid', pid, '--nofile=4096:4096'])
      return { hits: { 'clients without a descriptor': full }, figures: { open, used } }
    },
  })
})
