// The queue exporter: what Prometheus reads of every queue and of Redis.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startExporter } from '../../dashboard/exporter.ts'
import { allQueueNames, persist } from '../../queues/pipeline.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let exporter: Awaited<ReturnType<typeof startExporter>>

beforeAll(async () => {
  world = await testWorld({ exporterPort: 0 })
  const { config, depth, metrics, log } = world
  exporter = await startExporter({ config, depth, metrics, log })
})
afterAll(async () => {
  await exporter.stop()
  await world.close()
})

async function scrape(): Promise<string> {
  const response = await fetch(`${exporter.url}/metrics`)
  expect(response.headers.get('content-type')).toContain('text/plain')
  return response.text()
}

test('every queue is there with each state and the age of its oldest job', async () => {
  const text = await scrape()
  for (const queue of allQueueNames(world.config.shards)) {
    for (const state of ['waiting', 'active', 'delayed', 'failed']) {
      expect(text).toContain(`millrace_queue_jobs{queue="${queue}",state="${state}"} 0`)
    }
    expect(text).toContain(`millrace_queue_oldest_age_seconds{queue="${queue}"} 0`)
  }
})

test('waiting jobs, their age and Redis memory are counted', async () => {
  await world.sender.send(persist, [normalBatch([normalEvent({ userId: 'u' })])])
  const text = await waitFor(async () => {
    const now = await scrape()
    return now.includes('millrace_queue_jobs{queue="persist",state="waiting"} 1') ? now : undefined
  })
  expect(text).toMatch(/millrace_queue_oldest_age_seconds\{queue="persist"\} 0\.\d+/)
  expect(text).toMatch(/millrace_redis_memory_bytes [1-9]\d+/)
  expect(text).toMatch(/millrace_redis_memory_max_bytes [1-9]\d+/)
})

test('it is healthy and ready while Redis answers', async () => {
  expect((await fetch(`${exporter.url}/healthz`)).status).toBe(200)
  expect((await fetch(`${exporter.url}/readyz`)).status).toBe(200)
})
