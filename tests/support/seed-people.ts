// A few people with events, sessions and a merge, put through the real persist pool. `user-42` was anonymous `anon-1`
// first; `anon-2` never logged in.
import { persist } from '../../queues/pipeline.ts'
import type { NormalEvent } from '../../schema/event.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { normalBatch, normalEvent } from './factory.ts'
import { waitFor } from './wait-for.ts'
import type { World } from './world.ts'

export const DAY = Date.UTC(2026, 10, 20, 12)
const MINUTE = 60_000

export async function seedPeople(world: World, extra: NormalEvent[] = []): Promise<void> {
  await world.sql`insert into sources (name) values ('web-shop')`
  const at = (minutes: number) => ({
    time: DAY + minutes * MINUTE,
    receivedAt: DAY + minutes * MINUTE + 1000,
  })
  const events: NormalEvent[] = [
    normalEvent({ ...at(0), anonymousId: 'anon-1', type: 'page', name: 'Home' }),
    normalEvent({ ...at(2), anonymousId: 'anon-1', name: 'Product Viewed', properties: '{"sku":"shoe"}' }),
    normalEvent({
      ...at(5),
      anonymousId: 'anon-1',
      userId: 'user-42',
      type: 'identify',
      name: '',
      traits: { plan: 'gold' },
      properties: '{"plan":"gold"}',
    }),
    normalEvent({
      ...at(120),
      userId: 'user-42',
      name: 'Order Completed',
      value: '4990',
      currency: 'USD',
      messageId: 'm-order-1',
    }),
    normalEvent({ ...at(1), userId: 'user-7', name: 'Product Viewed' }),
    normalEvent({ ...at(3), anonymousId: 'anon-2', name: 'Product Viewed' }),
    ...extra,
  ]
  const pool = await world.run(persistPool)
  await world.sender.send(persist, [normalBatch(events)])
  await waitFor(async () => (await world.sql`select 1 from events`).length === events.length, {
    what: 'all seeded events in Postgres',
  })
  await waitFor(() => world.depth.depthOf('persist').active === 0, { what: 'an idle persist queue' })
  await pool.stop()
}
