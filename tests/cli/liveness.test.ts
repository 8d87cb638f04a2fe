// /healthz of a worker process on a real Redis: a worker that lost its place there is found out, and nothing else is.
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, inject, test } from 'vitest'
import { type Liveness, startLiveness } from '../../cli/liveness.ts'
import { startRedis } from '../../cli/local/redis.ts'
import { connectConsumer, serversOf, whenReady } from '../../queues/connection.ts'
import { pauseQueues, resumeQueues } from '../../queues/control.ts'
import { queuePrefix } from '../../queues/define.ts'
import { ingest } from '../../queues/pipeline.ts'
import { queuesWithWork } from '../../queues/ready-work.ts'
import { openQueue } from '../../queues/sender.ts'
import { definePool, type Pool } from '../../workers/define.ts'
import { STUCK_AFTER_MS } from '../../workers/progress.ts'
import { type RunningPool, runPool } from '../../workers/run.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let handled: string[]
const afterwards: (() => Promise<void> | void)[] = []

beforeEach(async () => {
  world = await testWorld()
  handled = []
})
afterEach(async () => {
  for (const end of afterwards.splice(0).reverse()) await end()
  await world.close()
})

function holdingPool(hold: Promise<void> = Promise.resolve()): Pool {
  return definePool({
    name: 'ingest',
    consumes: ingest,
    produces: [],
    work: { concurrency: 2, timeoutMs: 60_000 },
    open: () => ({}),
    async handle(batch) {
      handled.push(batch.batchId)
      await hold
    },
  })
}

async function start(running: Pool, connection = world.consumer, at = world): Promise<Liveness> {
  const service: RunningPool = await runPool(running, {
    connection,
    sender: at.sender,
    deps: at,
    onDead: async () => {},
  })
  const liveness = startLiveness({
    pools: [service],
    depth: at.depth,
    queuesWithWork: (names, nowMs) => queuesWithWork(at.producer, at.namespace, names, nowMs),
    log: world.log,
  })
  afterwards.push(async () => {
    await liveness.stop()
    await service.stop()
  })
  return liveness
}

async function addJob(batchId: string, at = world): Promise<void> {
  const messages = [{ type: 'track', event: 'Product Viewed', userId: 'me' }]
  await at.sender.send(ingest, [{ v: 1, batchId, requests: [{ sourceId: 1, receivedAt: 1, messages }] }])
}

/** Two looks a minute apart: what the process would say after standing still for so long. */
async function lookForAMinute(liveness: Liveness): Promise<void> {
  await waitFor(() => world.depth.depthOf('ingest').waiting + world.depth.depthOf('ingest').delayed > 0, {
    what: 'the sampler to see the job',
  })
  const nowMs = Date.now()
  await liveness.look(nowMs)
  await liveness.look(nowMs + STUCK_AFTER_MS)
}

/** A way to Redis that can fall silent without closing: what a worker behind it sends and waits for is lost. */
async function silentProxy(): Promise<{ url: string; fallSilent(): void }> {
  const target = new URL(inject('redisUrl'))
  const sockets = new Set<Socket>()
  let silent = false
  const server: Server = createServer((client) => {
    const upstream = new Socket().connect(Number(target.port), target.hostname)
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => sockets.delete(socket))
    }
    client.on('data', (data) => silent || upstream.write(data))
    upstream.on('data', (data) => silent || client.write(data))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  afterwards.push(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  const proxied = new URL(target)
  proxied.port = String(typeof address === 'object' && address !== null ? address.port : 0)
  return {
    url: proxied.href,
    fallSilent: () => {
      silent = true
    },
  }
}

test('a worker whose connection fell silent is not alive, and is again once its work is taken', async () => {
  const proxy = await silentProxy()
  const connection = connectConsumer(proxy.url)
  await whenReady(connection)
  const liveness = await start(holdingPool(), connection)
  // Before the worker is stopped, which would wait for answers that do not come.
  afterwards.push(() => connection.disconnect())
  await addJob('batch-before')
  await waitFor(() => handled.length === 1, { what: 'the first job' })
  const active = `${queuePrefix(world.namespace, 'ingest')}:ingest:active`
  await waitFor(async () => (await world.producer.llen(active)) === 0, { what: 'the first job to be done' })

  proxy.fallSilent()
  await addJob('batch-after')
  await lookForAMinute(liveness)
  expect(world.depth.current().reachable).toBe(true)
  expect(liveness.isAlive()).toBe(false)

  await start(holdingPool())
  await waitFor(() => handled.length === 2, { what: 'another process to take the job' })
  await liveness.look(Date.now())
  expect(liveness.isAlive()).toBe(true)
})

test('a paused queue and a long job are no reason for a restart', async () => {
  let release = () => {}
  const liveness = await start(
    holdingPool(
      new Promise((resolve) => {
        release = resolve
      }),
    ),
  )
  for (const id of ['batch-held-1', 'batch-held-2', 'batch-waits']) await addJob(id)
  await waitFor(() => handled.length === 2, { what: 'as many jobs as the pool takes at once' })
  await lookForAMinute(liveness)
  expect(liveness.isAlive()).toBe(true)

  await pauseQueues(world.producer, world.namespace, ['ingest'])
  release()
  await waitFor(() => world.depth.depthOf('ingest').active === 0, { what: 'the held jobs to end' })
  await lookForAMinute(liveness)
  expect(handled).toHaveLength(2)
  expect(liveness.isAlive()).toBe(true)
  await resumeQueues(world.producer, world.namespace, ['ingest'])
})

test('a Redis that is away is no reason for a restart', async () => {
  const running = await runPool(holdingPool(), {
    connection: world.consumer,
    sender: world.sender,
    deps: world,
    onDead: async () => {},
  })
  await running.stop()
  await addJob('batch-nobody-takes')
  const liveness = startLiveness({
    pools: [running],
    depth: world.depth,
    queuesWithWork: () => Promise.reject(new Error('Connection is closed.')),
    log: world.log,
  })
  afterwards.push(() => liveness.stop())
  await lookForAMinute(liveness)
  expect(liveness.isAlive()).toBe(true)
})

test('a Redis that is full refuses its workers, and a restart of them would not help', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'millrace-full-'))
  const server = await startRedis({ dir, port: 0, maxmemoryMb: 64, log: () => {}, env: process.env })
  const full = await testWorld({ redisUrl: server.url })
  afterwards.push(async () => {
    await full.close()
    await server.stop()
    await rm(dir, { recursive: true, force: true })
  })
  const [redis] = serversOf(full.producer)
  await addJob('batch-refused', full)
  await redis?.config('SET', 'maxmemory', '1kb')
  const liveness = await start(holdingPool(), full.consumer, full)
  await waitFor(() => full.depth.depthOf('ingest').waiting > 0, { what: 'the sampler to see the job' })
  await liveness.look(Date.now())
  const refusals = async () =>
    Number(/errorstat_OOM:count=(\d+)/.exec(String(await redis?.info('errorstats')))?.[1])
  const before = (await refusals()) || 0
  // Two, so that the worker has heard of the first.
  await waitFor(async () => (await refusals()) >= before + 2, { timeoutMs: 25_000, what: 'refusals' })
  await liveness.look(Date.now() + STUCK_AFTER_MS)
  expect(liveness.isAlive()).toBe(true)
  await redis?.config('SET', 'maxmemory', '64mb')
  await waitFor(() => handled.length === 1, { what: 'the job to be taken once there is room' })
})

test('an overdue delayed job counts as work, one that is not due yet does not', async () => {
  const queue = openQueue(world.producer, world.namespace, 'schedule')
  afterwards.push(() => queue.close())
  const nowMs = Date.now()
  await queue.add('later', {}, { delay: 60_000 })
  const open = (atMs: number) => queuesWithWork(world.producer, world.namespace, ['schedule', 'ingest'], atMs)
  expect([...(await open(nowMs))]).toEqual([])
  expect([...(await open(nowMs + 120_000))]).toEqual(['schedule'])
})
