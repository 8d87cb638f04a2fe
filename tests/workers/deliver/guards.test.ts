// What is not sent: suppressed addresses, people outside the allow-list, paused campaigns, forbidden receivers.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { addressHash } from '../../../domain/addresses.ts'
import { setCampaignStatus } from '../../../store/campaigns.ts'
import { liftSuppression, suppress } from '../../../store/suppressions.ts'
import { deliverPool } from '../../../workers/deliver/pool.ts'
import { checkedAddress } from '../../../workers/deliver/webhook.ts'
import { type DeliverWorld, deliverWorld } from '../../support/deliver-world.ts'

let world: DeliverWorld

beforeAll(async () => {
  world = await deliverWorld()
  await world.run(deliverPool)
})
afterAll(() => world?.close())

/** Sends one mail to a new person with these traits and returns how it ended. */
async function mailTo(traits: Record<string, unknown>, campaign?: number) {
  const person = await world.addPerson(traits)
  const job = world.jobFor(person, 'email', campaign)
  await world.send([job])
  return world.ended(job)
}

test('an address that unsubscribed is not written to, however it is spelled, until that is lifted', async () => {
  const hash = addressHash(world.config.secret, 'email', 'gone@shop.example')
  await suppress(world.sql, { channel: 'email', addressHash: hash, reason: 'unsubscribed' })
  expect(await mailTo({ email: ' Gone@Shop.Example' })).toMatchObject({ state: 'suppressed' })
  expect(await world.received('email', 'gone@shop.example')).toHaveLength(0)
  const push = world.jobFor(await world.addPerson({ email: 'gone@shop.example' }), 'push')
  await world.send([push])
  expect(await world.ended(push)).toMatchObject({ state: 'sent' })

  await liftSuppression(world.sql, 'email', hash)
  expect(await mailTo({ email: ' Gone@Shop.Example ' })).toMatchObject({ state: 'sent' })
})

test.each([
  ['no address', { email: null }, 'skipped'],
  ['an address that is a number', { email: 42 }, 'skipped'],
  ['no mail address', { email: 'just a name' }, 'failed'],
  ['two addresses', { email: 'a@shop.example, b@shop.example' }, 'failed'],
  ['a display name', { email: 'Ada <ada@shop.example>' }, 'failed'],
  ['a line break in the address', { email: 'a@shop.example\r\nBcc: all@shop.example' }, 'failed'],
  ['a control character in the address', { email: 'a\u0001b@shop.example' }, 'failed'],
])('a person with %s gets no mail', async (_, traits, state) => {
  const before = world.sinks.counts().email
  expect(await mailTo(traits)).toMatchObject({ state })
  expect(world.sinks.counts().email).toBe(before)
})

test('a trait cannot bring a header of its own into a mail', async () => {
  const before = world.sinks.counts().email
  const row = await mailTo({ firstName: 'Ada\r\nBcc: everybody@shop.example' })
  expect(row).toMatchObject({ state: 'failed' })
  expect(row.reason).not.toContain('everybody')
  expect(world.sinks.counts().email).toBe(before)
})

test.each([
  ['loops for ever', '{% for i in (1..1000000000) %}x{% endfor %}'],
  [
    'grows without end',
    '{% assign a = "x" %}{% for i in (1..60) %}{% assign a = a | append: a %}{% endfor %}{{ a }}',
  ],
  ['reads files', '{% include "/etc/passwd" %}'],
  ['is no template', 'Hello {{ profile.traits.firstName'],
  ['uses a filter that is not there', '{{ profile.userId | shout }}'],
])('a template that %s fails its message within the time of a send', async (name, body) => {
  const campaign = await world.addCampaign(`Template ${name}`, [
    { channel: 'email', subject: 'S', body, html: null },
  ])
  const startedAt = Date.now()
  const row = await mailTo({}, campaign)
  expect(row).toMatchObject({ state: 'failed' })
  expect(row.reason).toContain('cannot be rendered')
  expect(Date.now() - startedAt).toBeLessThan(5000)
})

test('a template reads what it was given and nothing behind it', async () => {
  const campaign = await world.addCampaign('Curious', [
    {
      channel: 'email',
      subject: 'S',
      body: '[{{ profile.constructor }}{{ profile.traits.__proto__ }}{{ process.env }}{{ profile.traits.none }}]',
      html: null,
    },
  ])
  await mailTo({ email: 'curious@shop.example' }, campaign)
  const [mail] = await world.received('email', 'curious@shop.example')
  expect(String(mail?.text).trim()).toBe('[]')
})

test('a paused campaign, a person merged away and a campaign that is gone send nothing', async () => {
  const campaign = await world.addCampaign('Paused', [
    { channel: 'email', subject: 'S', body: 'B', html: null },
  ])
  await setCampaignStatus(world.sql, campaign, 'paused')
  expect(await mailTo({}, campaign)).toMatchObject({ state: 'skipped', reason: 'campaign_paused' })

  const merged = await world.addPerson()
  await world.sql`update profiles set merged_into = 1 where bucket = ${merged % 1024} and profile_id = ${merged}`
  await world.send([world.jobFor(merged, 'email')])
  expect(await world.ended(world.jobFor(merged, 'email'))).toMatchObject({
    state: 'skipped',
    reason: 'profile_merged',
  })
  expect(await mailTo({}, 999_999)).toMatchObject({ state: 'skipped', reason: 'campaign_gone' })
})

test('a real provider is given only who is on the allow-list', async () => {
  const real = await deliverWorld((sinks) => ({
    smtpUrl: sinks.email.url,
    sendAllowList: ['ok@shop.example', '@team.example'],
  }))
  try {
    await real.run(deliverPool)
    const addresses = [
      'OK@shop.example',
      'any@team.example',
      'no@shop.example',
      'ok@shop.example.evil.example',
    ]
    const jobs = []
    for (const email of addresses) jobs.push(real.jobFor(await real.addPerson({ email }), 'email'))
    await real.send(jobs)
    const rows = []
    for (const job of jobs) rows.push(await real.ended(job))
    expect(rows.map((row) => row.reason ?? row.state)).toEqual([
      'sent',
      'sent',
      'not_on_allow_list',
      'not_on_allow_list',
    ])
    expect(real.sinks.counts().email).toBe(2)
  } finally {
    await real.close()
  }
})

test.each([
  'http://example.com/',
  'https://example.com:6379/',
  'https://127.0.0.1/',
  'https://[::1]/',
  'https://[::ffff:10.0.0.1]/',
  'https://[::ffff:7f00:1]/',
  'https://10.1.2.3/',
  'https://169.254.169.254/latest/meta-data/',
  'https://2130706433/',
  'https://0x7f.1/',
  'https://localhost/',
])('a real webhook is never sent to %s', async (url) => {
  expect(await checkedAddress(new URL(url))).toHaveProperty('refused')
})

test('a real webhook may go to a public address', async () => {
  expect(await checkedAddress(new URL('https://93.184.216.34/hook'))).toEqual({ address: '93.184.216.34' })
})
