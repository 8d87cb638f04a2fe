// What reaches the receivers on each channel: mail, push and webhook, with their headers and signatures.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readUnsubscribeToken } from '../../../domain/unsubscribe.ts'
import { deliverPool } from '../../../workers/deliver/pool.ts'
import { type DeliverWorld, deliverWorld } from '../../support/deliver-world.ts'

let world: DeliverWorld

beforeAll(async () => {
  world = await deliverWorld()
  await world.run(deliverPool)
})
afterAll(() => world?.close())

test('one entry becomes one mail, one push and one webhook, each rendered for the person', async () => {
  const ada = await world.addPerson({
    firstName: 'Ada <b>',
    email: 'ada@shop.example',
    pushToken: 'token-of-ada',
  })
  const jobs = (['email', 'push', 'webhook'] as const).map((channel) => world.jobFor(ada, channel))
  await world.send(jobs)
  for (const job of jobs) expect(await world.ended(job)).toMatchObject({ state: 'sent', attempt: 1 })

  expect(await world.received('email', 'ada@shop.example')).toMatchObject([
    {
      subject: 'Hello Ada <b>',
      text: expect.stringContaining('Welcome to Everybody, Ada <b>.'),
      html: expect.stringContaining('Ada &lt;b&gt;'),
    },
  ])
  expect(await world.received('push', 'token-of-ada')).toMatchObject([
    { title: 'Hello Ada <b>', body: 'Welcome to Everybody, Ada <b>.' },
  ])
  const key = `${jobs[2]?.deliveryKey}-webhook`
  expect(await world.received('webhook', key)).toMatchObject([
    { id: key, body: { type: 'segment.entered', data: { segment: 'everybody', deliveryKey: key } } },
  ])
})

test('a mail names its delivery and lets a mail program unsubscribe with one click', async () => {
  const person = await world.addPerson({ email: 'one-click@shop.example' })
  const job = world.jobFor(person, 'email')
  await world.send([job])
  const row = await world.ended(job)
  expect(row.provider_message_id).toBe(`<${job.deliveryKey}-email@millrace>`)
  const [mail] = await world.received('email', 'one-click@shop.example')
  expect(mail).toMatchObject({
    id: `<${job.deliveryKey}-email@millrace>`,
    headers: { 'list-unsubscribe-post': 'List-Unsubscribe=One-Click' },
  })
  const link = /^<(http:\/\/.+\/api\/v1\/unsubscribe\/(\S+))>$/.exec(
    Object(mail?.headers)['list-unsubscribe']?.replace(/\s+/g, ''),
  )
  expect(readUnsubscribeToken(world.config.secret, link?.[2] ?? '')).toEqual({
    campaignId: world.campaignId,
    profileId: person,
    channel: 'email',
  })
})

test('nobody is written to on a channel that has no provider', async () => {
  const campaign = await world.addCampaign('By text message', [
    { channel: 'sms', subject: '', body: 'Hi', html: null },
  ])
  const person = await world.addPerson({ phone: '+491700000000' })
  const job = world.jobFor(person, 'email', campaign)
  await world.send([{ ...job, channel: 'sms' }])
  expect(await world.ended({ ...job, channel: 'sms' })).toMatchObject({
    state: 'skipped',
    reason: 'no_provider',
  })
})
