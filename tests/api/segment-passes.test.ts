// GET /api/v1/segment-passes: pages over all servers in order of time, and by shard.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { passStatement } from '../../store/segment-passes.ts'
import { inTransaction } from '../../store/sql.ts'
import { type ApiServer, startApi } from '../support/api-server.ts'
import { testWorld, type World } from '../support/world.ts'

const NOW = Date.UTC(2026, 10, 20, 12)
let world: World
let api: ApiServer
beforeAll(async () => {
  world = await testWorld({}, { servers: 2 })
  api = await startApi(world)
  // Of one instant, too: their numbers keep them apart, on both servers.
  for (let i = 0; i < 40; i++) {
    const profileId = (i % 4) * 256
    await inTransaction(world.servers.of(profileId), async (tx) => {
      const counts = { profiles: 10, evaluated: 8, segments: 3, pairs: 20, entered: 2, exited: 1 }
      await passStatement(
        tx,
        {
          ...{ asOfMs: NOW + Math.floor(i / 8), shards: [i % 4], reasons: ['event', 'time'], lagMs: 12 },
          ...counts,
        },
        { isIdle: false, profileId },
      )
    })
  }
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

type Row = { passId: number; asOf: string; shards: number[] }
async function pages(query: string): Promise<Row[]> {
  const found: Row[] = []
  for (let cursor = ''; ; ) {
    const { status, body } = await api.get(`/api/v1/segment-passes?limit=7${query}${cursor}`)
    expect(status).toBe(200)
    found.push(...body.data)
    if (body.nextCursor === null) return found
    cursor = `&cursor=${body.nextCursor}`
  }
}

test('pages are the whole, newest first, each pass once', async () => {
  const all = await pages('')
  expect(new Set(all.map((one) => one.passId)).size).toBe(40)
  const times = all.map((one) => one.asOf)
  expect(times).toEqual(times.toSorted().toReversed())
  expect(all[0]).toMatchObject({
    ...{
      profiles: 10,
      evaluated: 8,
      segments: 3,
      pairsEvaluated: 20,
      pairsSkipped: 10,
      entered: 2,
      exited: 1,
    },
    ...{ reasons: ['event', 'time'], lagMs: 12, tookMs: expect.any(Number) },
  })
})

test('of one shard only its own; a shard that is not there is refused', async () => {
  const all = await pages('&shard=2')
  expect(all.length).toBe(10)
  expect(all.every((one) => one.shards.includes(2))).toBe(true)
  const { status, body } = await api.get('/api/v1/segment-passes?shard=4')
  expect([status, body.code]).toEqual([400, 'invalid_request'])
})
