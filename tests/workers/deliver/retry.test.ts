// What a provider's refusal leads to: another try, a dead letter with its reason, or a suppressed address.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { addressHash } from '../../../domain/addresses.ts'
import { isSuppressed } from '../../../store/suppressions.ts'
import { deliverPool } from '../../../workers/deliver/pool.ts'
import { type DeliverWorld, deliverWorld } from '../../support/deliver-world.ts'
import { waitFor } from '../../support/wait-for.ts'

let world: DeliverWorld
let dead: { reason: string; payload: unknown }[]

beforeAll(async () => {
  world = await deliverWorld()
  dead = (await world.run(deliverPool)).dead
})
afterAll(() => world?.close())

const CHANNELS = ['email', 'push', 'webhook'] as const

test('what is put off twice is tried again and arrives once, on every channel', async () => {
  const person = await world.addPerson()
  for (const channel of CHANNELS) world.sinks.failNext(channel, 2, 'later')
  const jobs = CHANNELS.map((channel) => world.jobFor(person, channel))
  await world.send(jobs)
  for (const job of jobs) expect(await world.ended(job)).toMatchObject({ state: 'sent', attempt: 3 })
  expect(world.sinks.counts()).toEqual({ email: 1, push: 1, webhook: 1 })
})

test('what is refused for good fails at once and is set aside where an operator sees it', async () => {
  const person = await world.addPerson()
  for (const channel of CHANNELS) world.sinks.failNext(channel, 1, 'reject')
  const jobs = CHANNELS.map((channel) => world.jobFor(person, channel))
  await world.send(jobs)
  for (const job of jobs) {
    expect(await world.ended(job)).toMatchObject({ state: 'failed', attempt: 1 })
    const record = await waitFor(() =>
      dead.find((one) => JSON.stringify(one.payload) === JSON.stringify(job)),
    )
    expect(record.reason).toContain('provider_rejected')
  }
})

test('a token that the push service no longer knows is never written to again', async () => {
  const token = 'unregistered-token'
  const hash = addressHash(world.config.secret, 'push', token)
  const first = await world.addPerson({ pushToken: token })
  await world.send([world.jobFor(first, 'push')])
  expect(await world.ended(world.jobFor(first, 'push'))).toMatchObject({ state: 'failed' })
  expect(await isSuppressed(world.sql, 'push', hash)).toBe(true)

  const second = await world.addPerson({ pushToken: token })
  await world.send([world.jobFor(second, 'push')])
  expect(await world.ended(world.jobFor(second, 'push'))).toMatchObject({ state: 'suppressed' })
})

test('a provider that is away for longer than all tries costs the message, and says so', async () => {
  const impatient = await deliverWorld(() => ({ deliverAttempts: 2 }))
  try {
    const pool = await impatient.run(deliverPool)
    const person = await impatient.addPerson()
    impatient.sinks.failNext('webhook', 5, 'later')
    const job = impatient.jobFor(person, 'webhook')
    await impatient.send([job])
    expect(await impatient.ended(job)).toMatchObject({ state: 'failed', attempt: 2, reason: 'HTTP 503' })
    await waitFor(() => pool.dead.length === 1)
    expect(pool.dead[0]?.reason).toContain('given up after 2 attempts')
  } finally {
    await impatient.close()
  }
})
