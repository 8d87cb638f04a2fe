// The probes of a process: /metrics, /healthz, /readyz.
import { afterEach, expect, test } from 'vitest'
import { createLog } from '../../runtime/log.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { startProbes } from '../../runtime/probes.ts'

const log = createLog({ level: 'silent', service: 'test' })
const running: { stop(): Promise<void> }[] = []
afterEach(async () => {
  for (const probes of running.splice(0)) await probes.stop()
})

async function start(answers: { ready: boolean; alive: boolean }, port = 0) {
  const metrics = createMetrics()
  const probes = await startProbes({
    host: '127.0.0.1',
    port,
    log,
    metrics,
    isReady: () => answers.ready,
    isAlive: async () => answers.alive,
  })
  running.push(probes)
  return { ...probes, metrics }
}

test('a process that is alive but not ready is 200 on /healthz and 503 on /readyz', async () => {
  const { url } = await start({ ready: false, alive: true })
  expect((await fetch(`${url}/healthz`)).status).toBe(200)
  expect((await fetch(`${url}/readyz`)).status).toBe(503)
})

test('a process without progress is 503 on /healthz', async () => {
  const { url } = await start({ ready: true, alive: false })
  expect((await fetch(`${url}/healthz`)).status).toBe(503)
})

test('/metrics shows what the process counted', async () => {
  const { url, metrics } = await start({ ready: true, alive: true })
  metrics.jobs.inc({ pool: 'persist', outcome: 'done' }, 3)
  const response = await fetch(`${url}/metrics`)
  expect(await response.text()).toContain('millrace_jobs_total{pool="persist",outcome="done"} 3')
})

test('a taken port is said by number', async () => {
  const { port } = await start({ ready: true, alive: true })
  await expect(start({ ready: true, alive: true }, port)).rejects.toThrow(String(port))
})
