// The sampler looks at what its process goes by, often while somebody reads and the queues hold work, and hardly else.
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startSampler } from '../../queues/depth.ts'
import { ingest, persist } from '../../queues/pipeline.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let sampler: ReturnType<typeof startSampler>

beforeEach(async () => {
  world = await testWorld()
  const { producer: redis, namespace } = world
  sampler = startSampler({ redis, namespace, names: [persist.name], busyMs: 50, idleMs: 600_000 })
  await sampler.ready
})
afterEach(async () => {
  await sampler.close()
  await world.close()
})

test('only the queues of the process are looked at, and asking for another is a mistake that is said', () => {
  expect([...sampler.current().lanes.keys()]).toEqual([persist.name])
  expect(() => sampler.depthOf(ingest.name)).toThrow('ingest is not sampled here')
})

test('who goes by it keeps it looking while there is work; who only peeks does not', async () => {
  const first = sampler.peek().takenAt
  await world.sender.send(persist, [normalBatch([normalEvent({ userId: 'ann' })])])
  // Older than three seconds: the next reader starts a look. Until then nobody did.
  await new Promise((resolve) => setTimeout(resolve, 3100))
  expect(sampler.peek().takenAt).toBe(first)
  expect(sampler.depthOf(persist.name).waiting).toBe(0)
  await waitFor(() => sampler.peek().lanes.get(persist.name)?.waiting === 1)
  const seen = new Set<number>()
  await waitFor(() => seen.add(sampler.peek().takenAt).size >= 5)
})
