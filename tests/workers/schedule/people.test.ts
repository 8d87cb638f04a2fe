// Sessions that fell silent are closed; aggregates follow from the events of the last 30 days.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { persist } from '../../../queues/pipeline.ts'
import { persistPool } from '../../../workers/persist/pool.ts'
import { closeSilentSessions, recomputeUserAggregates } from '../../../workers/schedule/people.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'
import { NEVER, scheduleDeps } from '../../support/schedule-deps.ts'
import { DAY, seedPeople } from '../../support/seed-people.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

const MINUTE = 60_000
let world: World
beforeAll(async () => {
  world = await testWorld()
  await seedPeople(world, [
    normalEvent({
      userId: 'user-42',
      name: 'Order Completed',
      value: '1500',
      currency: 'JPY',
      time: DAY + 121 * MINUTE,
      receivedAt: DAY + 121 * MINUTE,
    }),
    normalEvent({
      userId: 'user-42',
      name: 'Order Completed',
      value: '100',
      currency: 'USD',
      time: DAY + 122 * MINUTE,
      receivedAt: DAY + 122 * MINUTE,
    }),
  ])
})
afterAll(() => world.close())

const openSessions = async () =>
  Number((await world.sql`select count(*)::int as n from sessions where closed_at is null`)[0]?.n)

test('a session is closed 30 minutes after its last event, and not before', async () => {
  const all = await openSessions()
  expect(all).toBeGreaterThan(2)
  expect(await closeSilentSessions(scheduleDeps(world, DAY), NEVER)).toEqual({ closed: 0 })
  const deps = scheduleDeps(world, DAY + 60 * MINUTE)
  const early = await closeSilentSessions(deps, NEVER)
  expect(early.closed).toBe(all - 1)
  deps.clock.set(DAY + 153 * MINUTE)
  expect(await closeSilentSessions(deps, NEVER)).toEqual({ closed: 1 })
  expect(await closeSilentSessions(deps, NEVER)).toEqual({ closed: 0 })
})

test('a late event opens its session again until the next closing', async () => {
  const pool = await world.run(persistPool)
  await world.sender.send(persist, [
    normalBatch([
      normalEvent({ userId: 'user-42', time: DAY + 130 * MINUTE, receivedAt: DAY + 200 * MINUTE }),
    ]),
  ])
  await waitFor(async () => (await openSessions()) === 1, { what: 'the session to be open again' })
  await pool.stop()
  const deps = scheduleDeps(world, DAY + 300 * MINUTE)
  expect(await closeSilentSessions(deps, NEVER)).toEqual({ closed: 1 })
})

test('aggregates count events, sessions and orders, and sum money by currency', async () => {
  const counts = await recomputeUserAggregates(scheduleDeps(world, DAY + 300 * MINUTE), NEVER)
  expect(counts).toEqual({ computed: 3, dropped: 0 })
  const [row] = await world.sql`
    select a.events_30d, a.sessions_30d, a.orders_30d, a.revenue_30d, a.last_order_at
    from user_aggregates a
    join profiles p using (bucket, profile_id)
    where p.user_id = 'user-42'`
  expect(row).toEqual({
    events_30d: 7,
    sessions_30d: 2,
    orders_30d: 3,
    revenue_30d: { USD: 5090, JPY: 1500 },
    last_order_at: new Date(DAY + 122 * MINUTE),
  })
})

test('people who did nothing for 30 days have no aggregates', async () => {
  const later = scheduleDeps(world, DAY + 31 * 86_400_000)
  expect(await recomputeUserAggregates(later, NEVER)).toEqual({ computed: 0, dropped: 3 })
})
