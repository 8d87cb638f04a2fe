// One delivery key is sent once, by however many workers, and after a worker died with it in hand.
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Service } from '../../../runtime/lifecycle.ts'
import { claimDelivery, recordDelivery } from '../../../store/deliveries.ts'
import { deliverPool } from '../../../workers/deliver/pool.ts'
import { type DeliverWorld, deliverWorld } from '../../support/deliver-world.ts'
import { waitFor } from '../../support/wait-for.ts'

let world: DeliverWorld
let pools: Service[]

beforeAll(async () => {
  world = await deliverWorld(() => ({ deliverLeaseMs: 500 }))
  // Two processes' worth of workers on the same queues.
  pools = [await world.run(deliverPool), await world.run(deliverPool)]
})
afterAll(() => world?.close())

const expireLease = (profileId: number) =>
  world.sql`update deliveries set lease_until = clock_timestamp() - interval '1 second'
    where bucket = ${profileId % 1024} and profile_id = ${profileId}`

test('a job that comes again after its message was sent sends nothing', async () => {
  const person = await world.addPerson({ email: 'again@shop.example' })
  const job = world.jobFor(person, 'email')
  await world.send([job])
  await world.ended(job)
  await world.idle()
  await world.send([job])
  await world.idle()
  expect(await world.rowOf(job)).toMatchObject({ state: 'sent', attempt: 1 })
  expect(await world.received('email', 'again@shop.example')).toHaveLength(1)
})

test('many workers that hold the same delivery at once send one message', async () => {
  const person = await world.addPerson({ email: 'crowd@shop.example' })
  const job = world.jobFor(person, 'email')
  const claims = await Promise.all(
    Array.from({ length: 20 }, () => claimDelivery(world.sql, job, { leaseMs: 1500 })),
  )
  expect(claims.filter((claim) => claim.kind === 'claimed')).toHaveLength(1)
  expect(claims.filter((claim) => claim.kind === 'busy')).toHaveLength(19)

  // The pool waits while the claim is held, and takes over when its lease has run out without anything being sent.
  await world.send([job])
  expect(await world.ended(job)).toMatchObject({ state: 'sent', attempt: 2 })
  expect(await world.received('email', 'crowd@shop.example')).toHaveLength(1)
})

test.each(['email', 'push'] as const)(
  '%s: when the answer is lost after the message was taken, the outcome is unknown and it is not sent again',
  async (channel) => {
    const address = channel === 'email' ? 'cut@shop.example' : 'token-cut'
    const person = await world.addPerson({ [channel === 'email' ? 'email' : 'pushToken']: address })
    world.sinks.failNext(channel, 1, 'cut')
    const job = world.jobFor(person, channel)
    await world.send([job])
    const row = await world.ended(job)
    expect(row).toMatchObject({ state: 'unknown', attempt: 1 })
    expect(row.reason).toContain('outcome_unknown')
    await world.idle()
    await world.send([job])
    await world.idle()
    expect(await world.received(channel, address)).toHaveLength(1)
  },
)

test('a webhook whose answer is lost is sent again under the same id, for its receiver to recognise', async () => {
  const person = await world.addPerson()
  world.sinks.failNext('webhook', 1, 'cut')
  const job = world.jobFor(person, 'webhook')
  await world.send([job])
  expect(await world.ended(job)).toMatchObject({ state: 'sent', attempt: 2 })
  expect(await world.received('webhook', `${job.deliveryKey}-webhook`)).toHaveLength(2)
})

test.each(['email', 'push', 'webhook'] as const)(
  '%s: a worker that died between sending and recording leaves an unknown outcome, not a second message',
  async (channel) => {
    const address = `dead-${channel}@shop.example`
    const traits = { email: { email: address }, push: { pushToken: address }, webhook: {} }
    const person = await world.addPerson(traits[channel])
    const job = world.jobFor(person, channel)
    await claimDelivery(world.sql, job, { leaseMs: 60_000 })
    await recordDelivery(world.sql, job, { attempt: 1, state: 'sending' })
    await expireLease(person)
    await world.send([job])
    expect(await world.ended(job)).toMatchObject({ state: 'unknown', attempt: 1 })
    await world.idle()
    const key = channel === 'webhook' ? `${job.deliveryKey}-webhook` : address
    expect(await world.received(channel, key)).toHaveLength(0)
  },
)

test('what a worker says after its claim was taken over is not recorded', async () => {
  const person = await world.addPerson()
  const job = world.jobFor(person, 'email')
  await claimDelivery(world.sql, job, { leaseMs: 60_000 })
  await expireLease(person)
  const second = await claimDelivery(world.sql, job, { leaseMs: 60_000 })
  expect(second).toEqual({ kind: 'claimed', attempt: 2 })
  expect(await recordDelivery(world.sql, job, { attempt: 1, state: 'failed', reason: 'late' })).toBe(false)
  expect(await recordDelivery(world.sql, job, { attempt: 2, state: 'sending' })).toBe(true)
  expect(await recordDelivery(world.sql, job, { attempt: 1, state: 'failed', reason: 'late' })).toBe(false)
  expect(await recordDelivery(world.sql, job, { attempt: 2, state: 'sent' })).toBe(true)
  expect(await world.rowOf(job)).toMatchObject({ state: 'sent', attempt: 2, reason: null })
})

test('fifty people, each named by three jobs, get one mail each through a server that drops a tenth of them', async () => {
  const people = await Promise.all(
    Array.from({ length: 50 }, (_, i) => world.addPerson({ email: `many-${i}@shop.example` })),
  )
  const before = world.sinks.counts().email
  world.sinks.failNext('email', 5, 'cut')
  const jobs = people.map((person) => world.jobFor(person, 'email'))
  await world.send(jobs)
  for (const job of jobs) await world.ended(job)
  await world.idle()
  await world.send(jobs)
  await world.send(jobs)
  await world.idle()
  expect(world.sinks.counts().email - before).toBe(50)
  const states = await Promise.all(jobs.map(async (job) => (await world.rowOf(job))?.state))
  expect(states.filter((state) => state === 'unknown')).toHaveLength(5)
  expect(states.filter((state) => state === 'sent')).toHaveLength(45)
})

// Last: it stops the pools of this file.
test('a webhook that is on its way when its process stops is waited for, and not sent again', async () => {
  const person = await world.addPerson()
  const job = world.jobFor(person, 'webhook')
  world.sinks.pause('webhook')
  await world.send([job])
  await waitFor(async () => (await world.rowOf(job))?.state === 'sending', { what: 'the webhook to be sent' })
  for (const pool of pools) pool.quiet?.()
  await new Promise((resolve) => setTimeout(resolve, 300))
  world.sinks.resume('webhook')
  expect(await world.ended(job)).toMatchObject({ state: 'sent', attempt: 1 })
  expect(await world.received('webhook', `${job.deliveryKey}-webhook`)).toHaveLength(1)
})
