// Groups of events commit in any order: an entry may be announced before the event that says where to write to.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { persist } from '../../../queues/pipeline.ts'
import { deliverPool } from '../../../workers/deliver/pool.ts'
import { type DeliverWorld, deliverWorld } from '../../support/deliver-world.ts'
import { normalBatch, normalEvent } from '../../support/factory.ts'

let world: DeliverWorld

beforeAll(async () => {
  world = await deliverWorld()
  await world.run(deliverPool)
})
afterAll(() => world?.close())

test('who has no address when nothing is on its way is skipped', async () => {
  const job = world.jobFor(await world.addPerson({ email: undefined }), 'email')
  await world.send([job])
  expect(await world.ended(job)).toMatchObject({ state: 'skipped', reason: 'no_address' })
})

test('a message waits for an address while events are on their way, and spends no attempt on it', async () => {
  // No persist pool runs here: this event stays on its way.
  await world.sender.send(persist, [normalBatch([normalEvent()])])
  const person = await world.addPerson({ email: undefined })
  const job = world.jobFor(person, 'email')
  await world.send([job])
  await new Promise((resolve) => setTimeout(resolve, 5000))
  expect(await world.rowOf(job)).toBeUndefined()

  await world.sql`
    update profiles set traits = traits || '{"email":"late@shop.example"}'::jsonb
    where bucket = ${person % 1024} and profile_id = ${person}`
  expect(await world.ended(job)).toMatchObject({ state: 'sent', attempt: 1 })
  expect(await world.received('email', 'late@shop.example')).toHaveLength(1)
})
