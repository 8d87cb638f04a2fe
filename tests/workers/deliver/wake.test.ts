// What deliver does that rules ask about wakes whom it concerns: a message that was sent, an address that takes none.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { addressHash } from '../../../domain/addresses.ts'
import { checkRule } from '../../../domain/segments/version.ts'
import { noteAskedAddresses } from '../../../store/reach.ts'
import { createSegment } from '../../../store/segments.ts'
import { deliverPool } from '../../../workers/deliver/pool.ts'
import { type DeliverWorld, deliverWorld } from '../../support/deliver-world.ts'
import { waitFor } from '../../support/wait-for.ts'

let world: DeliverWorld

beforeAll(async () => {
  world = await deliverWorld()
  await world.run(deliverPool)
})
afterAll(() => world?.close())

async function woken(): Promise<number[]> {
  const rows = await world.sql<{ profile_id: number }[]>`
    delete from segment_timers where wake_at <= clock_timestamp() returning profile_id`
  return rows.map((row) => row.profile_id)
}
const goLive = (slug: string, match: unknown) =>
  createSegment(world.sql, { slug, name: slug, ...checkRule({ match }), author: '', note: '' })

async function mailTo(person: number) {
  const job = world.jobFor(person, 'email')
  await world.send([job])
  const row = await world.ended(job)
  await world.idle()
  return row
}

test('a message that was sent wakes its person once a rule asks for sent messages, and nobody before', async () => {
  expect(await mailTo(await world.addPerson())).toMatchObject({ state: 'sent' })
  expect(await woken()).toEqual([])
  const window = { k: 'rolling', last: 'P1D' }
  await goLive('opened', { k: 'message', did: 'opened', window, op: 'gte', value: 1 })
  expect(await mailTo(await world.addPerson())).toMatchObject({ state: 'sent' })
  expect(await woken()).toEqual([])
  await goLive('tired', { k: 'message', did: 'sent', window, op: 'gte', value: 3 })
  const person = await world.addPerson()
  expect(await mailTo(person)).toMatchObject({ state: 'sent' })
  expect(await woken()).toEqual([person])
  // The same job again sends nothing, and wakes again: the attempt before may have died in between.
  await mailTo(person)
  expect(await woken()).toEqual([person])
  expect(await world.received('email', `p${person >> 10}@shop.example`)).toHaveLength(1)
  const nobody = await world.addPerson({ email: null })
  expect(await mailTo(nobody)).toMatchObject({ state: 'skipped' })
  expect(await woken()).toEqual([])
})

test('a push token that is gone wakes all of whom a rule asks about by it', async () => {
  await goLive('reachable', { k: 'consent', channel: 'push', state: 'subscribed' })
  const token = 'unregistered-token'
  const [person, other] = [await world.addPerson({ pushToken: token }), await world.addPerson()]
  const hash = addressHash(world.config.secret, 'push', token)
  await noteAskedAddresses(
    world.sql,
    [person, other].map((profileId) => ({ profileId, channel: 'push' as const, addressHash: hash })),
  )
  const job = world.jobFor(person, 'push')
  await world.send([job])
  const row = await world.ended(job)
  await waitFor(async () => (await world.sql`select 1 from suppression_changes`).length === 0)
  await world.idle()
  const rows =
    await world.sql`select reason from suppressions where channel = 'push' and address_hash = ${hash}`
  expect([row.state, rows.map((one) => one.reason)]).toEqual(['failed', ['bounced']])
  expect((await woken()).sort((a, b) => a - b)).toEqual([person, other])
})
