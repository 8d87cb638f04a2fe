// The queues on a real Redis Cluster of three masters, in every run: all of a queue lives on one node, and whatever looks
// at many queues at once asks every node. The other suites run on the same cluster by `npm run test:cluster`.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readServed, writeServed } from '../../cache/memberships.ts'
import { addedCounts, countWorkers } from '../../queues/activity.ts'
import { serversOf } from '../../queues/connection.ts'
import { pausedQueues, pauseQueues, resumeQueues } from '../../queues/control.ts'
import { queuePrefix } from '../../queues/define.ts'
import { sampleQueues } from '../../queues/depth.ts'
import { eraseNamespace } from '../../queues/erase.ts'
import { findJobs } from '../../queues/find-jobs.ts'
import { allQueueNames, persist, segment } from '../../queues/pipeline.ts'
import { findUnsafeSettings } from '../../queues/safety.ts'
import { createSender } from '../../queues/sender.ts'
import { definePool } from '../../workers/define.ts'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let dir: string
let cluster: RedisCluster
let world: World
const SHARDS = 4

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-cluster-'))
  cluster = await startRedisCluster({ dir, maxmemoryMb: 64 })
  world = await testWorld({ redisUrl: cluster.url, shards: SHARDS })
})
afterAll(async () => {
  await world?.close()
  await cluster?.stop()
  await rm(dir, { recursive: true, force: true })
})

const touched = (batchId: string, shard: number) => ({
  v: 1 as const,
  batchId,
  shard,
  reason: 'event' as const,
  receivedAt: Date.now(),
  profileIds: [shard],
})

test('jobs of every shard arrive, are counted, found and worked on, wherever their queue lives', async () => {
  const { producer, namespace } = world
  const names = allQueueNames(SHARDS)
  await world.sender.send(
    segment,
    Array.from({ length: SHARDS }, (_, shard) => touched('batch-of-1', shard)),
  )
  const waiting = async () => (await sampleQueues(producer, namespace, names, Date.now() + 1000)).lanes
  for (const shard of ['00', '01', '02', '03']) {
    expect((await waiting()).get(`segment-${shard}`)).toMatchObject({ waiting: 1 })
    expect((await waiting()).get(`segment-${shard}`)?.oldestAgeMs).toBeGreaterThan(0)
  }
  expect((await addedCounts(producer, namespace, names)).get('segment-02')).toBe(1)
  const found = await findJobs(producer, {
    namespace,
    names,
    needle: { id: 'nobody', profileIds: [3] },
    maxJobs: 100,
    maxMs: 5000,
    maxFound: 10,
  })
  expect(found).toMatchObject({ jobs: [{ queue: 'segment-03', state: 'wait' }], looked: SHARDS })

  const seen: number[] = []
  await world.run(
    definePool({
      name: 'segment',
      consumes: segment,
      produces: [],
      work: { concurrency: 1, timeoutMs: 5000 },
      open: () => seen,
      handle: async (batch, into) => {
        into.push(batch.shard)
      },
    }),
  )
  await waitFor(() => seen.length === SHARDS, { timeoutMs: 10_000, what: 'the jobs of all shards' })
  expect(seen.sort()).toEqual([0, 1, 2, 3])
  await waitFor(async () => (await countWorkers(producer, namespace, names))?.get('segment-03') === 1, {
    timeoutMs: 5000,
    what: 'the worker of a shard to be listed',
  })
})

test('the queues lie on more than one node, each with all its keys on one', async () => {
  const nodesOf = new Map<string, Set<number>>()
  for (const [node, server] of serversOf(world.producer).entries()) {
    for (const key of await server.keys(`{${world.namespace}-*`)) {
      const queue = key.slice(0, key.indexOf('}'))
      nodesOf.set(queue, (nodesOf.get(queue) ?? new Set()).add(node))
    }
  }
  const placed = [...nodesOf.values()]
  expect(placed.every((nodes) => nodes.size === 1)).toBe(true)
  expect(new Set(placed.flatMap((nodes) => [...nodes])).size).toBeGreaterThan(1)
})

test('pausing names queues on all nodes', async () => {
  const { producer, namespace } = world
  const names = ['persist', 'segment-00', 'segment-01']
  await pauseQueues(producer, namespace, names)
  expect(await pausedQueues(producer, namespace, allQueueNames(SHARDS))).toEqual(new Set(names))
  await resumeQueues(producer, namespace, names)
  expect(await pausedQueues(producer, namespace, names)).toEqual(new Set())
})

test('memberships of profiles on all nodes are written together and read again', async () => {
  const people = Array.from({ length: 50 }, (_, i) => ({
    profileId: i * 1100 + 1024,
    mergedInto: null,
    hasChanged: true,
    // Every tenth is in more segments than fit into the shared hash.
    ends: new Map(
      Array.from({ length: i % 10 === 0 ? 60 : 1 }, (_, n) => [i + n * 200, Date.UTC(2027, 0, 1) + n]),
    ),
  }))
  await writeServed(world.cache, { version: 2, seen: 1, generation: 3 }, people)
  const read = await Promise.all(people.map(({ profileId }) => readServed(world.cache, profileId)))
  expect(read).toEqual(people.map(({ ends }) => ({ kind: 'members', ends, generation: 3 })))
  const holders = new Set<number>()
  for (const [node, server] of serversOf(world.producer).entries())
    if ((await server.keys(`${world.namespace}:c:members:*`)).length > 0) holders.add(node)
  expect(holders.size).toBe(3)
})

test('the fullest node decides how full Redis is, and one unsafe node is a finding', async () => {
  const { producer, namespace } = world
  const [first] = serversOf(producer)
  await first?.config('SET', 'appendfsync', 'everysec')
  await first?.config('SET', 'maxmemory', '32mb')
  try {
    expect(await findUnsafeSettings(producer)).toMatchObject([{ setting: 'appendfsync', is: 'everysec' }])
    const sample = await sampleQueues(producer, namespace, ['persist'], Date.now())
    expect(sample.maxMemoryBytes).toBe(32 * 1024 * 1024)
  } finally {
    await first?.config('SET', 'appendfsync', 'always')
    await first?.config('SET', 'maxmemory', '64mb')
  }
  expect(await findUnsafeSettings(producer)).toEqual([])
})

test('erasing a namespace empties every node of it', async () => {
  const { producer } = world
  // Not that of the pools above, whose workers write keys while they run.
  const namespace = `${world.namespace}x`
  const sender = createSender({ redis: producer, namespace })
  await sender.send(persist, [{ v: 1, batchId: 'batch-of-2', events: [] }])
  await sender.close()
  expect(await producer.exists(`${queuePrefix(namespace, 'persist')}:persist:wait`)).toBe(1)
  expect(await eraseNamespace(producer, namespace)).toBeGreaterThan(0)
  for (const server of serversOf(producer)) expect(await server.keys(`*${namespace}*`)).toEqual([])
})
