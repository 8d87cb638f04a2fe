// One word for one thing: the registry of pools against folders, queues, metric labels and the command line; and the
// entries of the top level that are fixed.
import { expect, test } from 'vitest'
import { RUNNABLE } from '../../cli/run-process.ts'
import { queueNames } from '../../queues/define.ts'
import { allQueueNames, PIPELINE } from '../../queues/pipeline.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { REGISTRY } from '../../workers/registry.ts'
import { isThere, projectFiles, readProjectFile } from '../support/source-tree.ts'

const FILES = projectFiles()
const workers = REGISTRY.filter((row) => row.load !== null)

test('the nine fixed entries of the top level are there', () => {
  const fixed = [
    'workers',
    'queues',
    'dashboard',
    'schema',
    'k8s',
    'loadtest',
    'docker-compose.yml',
    'package.json',
    'README.md',
  ]
  expect(fixed.filter((name) => !isThere(name))).toEqual([])
})

test('every folder under workers/ is a pool of the registry, and the other way round', () => {
  const folders = new Set(
    FILES.flatMap((path) => /^workers\/([^/]+)\//.exec(path)?.[1] ?? []).map((name) => `workers/${name}`),
  )
  expect([...folders].sort()).toEqual(workers.map((row) => row.folder).sort())
  expect(REGISTRY.filter((row) => !isThere(row.folder))).toEqual([])
})

test('a pool has one name everywhere', () => {
  for (const { name, composeService, metricLabel, k8sFile, folder } of REGISTRY) {
    expect({ composeService, metricLabel, k8sFile }).toEqual({
      composeService: name,
      metricLabel: name,
      k8sFile: `k8s/base/${name}.yaml`,
    })
    expect(folder.split('/').at(-1)).toBe(name)
    expect(isThere(k8sFile), k8sFile).toBe(true)
  }
  expect(new Set(REGISTRY.map((row) => row.name)).size).toBe(REGISTRY.length)
})

test('every queue has one pool that consumes it, in flow order', async () => {
  const pools = await Promise.all(workers.map((row) => row.load?.()))
  expect(pools.map((pool) => pool?.name)).toEqual(workers.map((row) => row.name))
  expect(pools.map((pool) => pool?.consumes.name).sort()).toEqual(PIPELINE.map((queue) => queue.name).sort())
  expect(workers.map((row) => row.consumes)).toEqual(pools.map((pool) => pool?.consumes.name))
})

test('pools send only downwards: to queues after their own, or to their own', async () => {
  const order: string[] = PIPELINE.map((queue) => queue.name)
  for (const row of workers) {
    const pool = await row.load?.()
    if (pool === undefined || pool.name === 'schedule') continue
    const from = order.indexOf(pool.consumes.name)
    for (const queue of pool.produces) {
      expect(order.indexOf(queue.name), `${pool.name} to ${queue.name}`).toBeGreaterThanOrEqual(from)
    }
  }
})

test('every pool.ts is a table of contents of at most 40 lines', () => {
  for (const row of workers) {
    expect(readProjectFile(`${row.folder}/pool.ts`).split('\n').length, row.name).toBeLessThanOrEqual(41)
  }
})

test('BullMQ gets a queue a shard and a channel, with names it takes', () => {
  const names = allQueueNames(16)
  expect(names).toEqual(PIPELINE.flatMap((queue) => queueNames(queue, 16)))
  expect(names).toContain('segment-00')
  expect(names).toContain('segment-15')
  expect(names).toContain('deliver-email')
  expect(names.filter((name) => !/^[a-z]+(-[a-z0-9]+)?$/.test(name))).toEqual([])
})

test('metrics carry the pool as label', async () => {
  const metrics = createMetrics()
  for (const row of REGISTRY) metrics.jobs.inc({ pool: row.metricLabel, outcome: 'done' })
  const text = await metrics.registry.metrics()
  for (const row of REGISTRY)
    expect(text).toContain(`millrace_jobs_total{pool="${row.name}",outcome="done"} 1`)
})

test('the command line starts every pool of the registry, and the servers beside them', () => {
  expect(RUNNABLE).toEqual([...REGISTRY.map((row) => row.name), 'api', 'dashboard', 'exporter'])
})
