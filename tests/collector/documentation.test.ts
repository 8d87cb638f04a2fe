// The OpenAPI document has the write routes, and each of its examples is accepted as it stands.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { registerOpenApi } from '../../api/openapi.ts'
import { startCollector, type TestCollector } from '../support/collector.ts'
import { testWorld, type World } from '../support/world.ts'

let world: World
let collector: TestCollector
beforeAll(async () => {
  world = await testWorld()
  collector = await startCollector(world, {
    before: (app) => registerOpenApi(app, { publicUrl: 'http://localhost:8080' }),
  })
})
afterAll(async () => {
  await collector?.stop()
  await world?.close()
})

type Operation = {
  requestBody?: {
    content: Record<string, { schema: { examples?: unknown[] }; example?: unknown; examples?: object }>
  }
}

test('every example of a write route is accepted', async () => {
  const reply = await fetch(`${collector.url}/api/openapi.json`)
  const document = (await reply.json()) as { paths: Record<string, { post?: Operation }> }
  const written: string[] = []
  for (const [path, { post }] of Object.entries(document.paths)) {
    for (const media of Object.values(post?.requestBody?.content ?? {})) {
      const examples = media.schema.examples ?? [media.example, ...Object.values(media.examples ?? {})]
      for (const example of examples.filter((one) => one !== undefined)) {
        const answer = await collector.post(path, example)
        expect([path, answer.status, await answer.json()]).toEqual([
          path,
          200,
          expect.objectContaining({ refused: 0 }),
        ])
        written.push(path)
      }
    }
  }
  expect(written.sort()).toEqual(
    [
      ...['track', 'identify', 'page', 'screen', 'group', 'alias', 'batch', 'import'].map(
        (name) => `/v1/${name}`,
      ),
      '/api/v1/events',
      '/api/v1/events/batch',
    ].sort(),
  )
})
