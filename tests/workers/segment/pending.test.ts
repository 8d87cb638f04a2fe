// Which changes a pass leaves to be handed on: entries that an active campaign waits for. All others are done as they are written.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkRule } from '../../../domain/segments/version.ts'
import { persist } from '../../../queues/pipeline.ts'
import { createCampaign } from '../../../store/campaigns.ts'
import { createSegment } from '../../../store/segments.ts'
import { createSegmentCatalog } from '../../../workers/live-segments.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { runPass } from '../../../workers/segment/pass.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

let world: World
beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
  await world.run(persistPool)
})
afterAll(() => world?.close())

test('only an entry that an active campaign waits for is left to be handed on, by its segment and reason', async () => {
  const match = { k: 'trait', path: 'plan', op: 'exists' }
  const ids = new Map<string, number>()
  for (const slug of ['asked', 'stopped', 'alone']) {
    const names = { slug, name: slug, author: '', note: '' }
    ids.set(slug, (await createSegment(world.sql, { ...names, ...checkRule({ match }) }))?.segmentId ?? 0)
  }
  const channels = [{ channel: 'email' as const, subject: 'Hello', body: 'Hello.', html: null }]
  for (const name of ['asked', 'stopped'])
    await createCampaign(world.sql, { name, segmentId: ids.get(name) ?? 0, channels })
  await world.sql`update campaigns set status = 'paused' where name = 'stopped'`
  const said = (userId: string) =>
    normalEvent({ userId, type: 'identify', name: '', traits: { plan: 'gold' } })
  await world.sender.send(persist, [normalBatch([said('anna'), said('ben')])])
  await waitFor(async () => (await world.sql`select 1 from profiles`).length === 2)
  const [anna, ben] = await world.sql<
    { profile_id: number }[]
  >`select profile_id from profiles order by user_id`
  const reasons = new Map([
    [anna?.profile_id ?? 0, 'event' as const],
    [ben?.profile_id ?? 0, 'backfill' as const],
  ])
  await world.sql`update segment_runs set finished_at = now()`
  await runPass({ sql: world.sql, home: world.sql }, createSegmentCatalog(), {
    ...{ shards: world.config.shards, reasons, clock: world.clock },
  })
  const changes = await world.sql<{ segment_id: number; profile_id: number }[]>`
    select segment_id, profile_id from membership_changes where announced_at is null`
  expect(await world.sql`select 1 from membership_changes`).toHaveLength(6)
  expect(changes).toEqual([{ segment_id: ids.get('asked'), profile_id: anna?.profile_id }])
})
