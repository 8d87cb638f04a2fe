// What a process says of itself: its build, CPU, memory and disk, as of the scrape.
import { tmpdir } from 'node:os'
import { expect, test } from 'vitest'
import packageFile from '../../package.json' with { type: 'json' }
import { createMetrics } from '../../runtime/metrics.ts'
import { describeProcess } from '../../runtime/process-gauges.ts'

async function look(dataDir: string) {
  const metrics = createMetrics()
  const refresh = describeProcess(metrics, {
    version: packageFile.version,
    runs: ['persist', 'segment'],
    dataDir,
  })
  await refresh()
  const value = async (name: string) =>
    Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await metrics.registry.metrics())?.[1])
  return { metrics, refresh, value }
}

test('version, Node and what it runs are the labels of one series', async () => {
  const { metrics } = await look(tmpdir())
  expect(await metrics.registry.metrics()).toContain(
    `millrace_build_info{version="${packageFile.version}",node="${process.versions.node}",runs="persist+segment"} 1`,
  )
})

test('CPU time counts on from look to look, memory is what the system says', async () => {
  const { refresh, value } = await look(tmpdir())
  const before = await value('process_cpu_seconds_total')
  expect(before).toBeGreaterThan(0)
  const until = performance.now() + 50
  while (performance.now() < until);
  await refresh()
  expect(await value('process_cpu_seconds_total')).toBeGreaterThan(before)
  expect(await value('process_resident_memory_bytes')).toBeGreaterThan(10_000_000)
  const startedAgo = Date.now() / 1000 - (await value('process_start_time_seconds'))
  expect(Math.abs(startedAgo - process.uptime())).toBeLessThan(2)
})

test('the disk of the data folder is measured, and nothing is said where there is none', async () => {
  const here = await look(tmpdir())
  const size = await here.value('millrace_disk_size_bytes')
  expect(size).toBeGreaterThan(await here.value('millrace_disk_free_bytes'))
  expect(await here.value('millrace_disk_free_bytes')).toBeGreaterThan(0)
  const nowhere = await look('/no/such/folder')
  expect(await nowhere.value('millrace_disk_size_bytes')).toBeNaN()
  expect(await nowhere.value('millrace_disk_free_bytes')).toBeNaN()
})
