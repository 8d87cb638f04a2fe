// The local receivers of mails, pushes and webhooks: what real clients send is kept before they are answered, faults can
// be planned, and what was kept survives a restart. The outbox shows all of it and runs nothing of it.
import { createHmac, randomBytes } from 'node:crypto'
import { appendFileSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTransport } from 'nodemailer'
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import { type Sinks, startSinks } from '../../../cli/local/sinks.ts'
import { createPushProvider } from '../../../workers/deliver/push.ts'

const webhookSecret = `whsec_${randomBytes(24).toString('base64')}`
let dir: string
let sinks: Sinks
const folders: string[] = []
const start = () => startSinks({ dir, outboxPort: 0, webhookSecret })

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-sinks-test-'))
  folders.push(dir)
  sinks = await start()
})

afterEach(() => sinks.stop())

afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

const linesOf = (channel: string) =>
  readFileSync(join(dir, `${channel}.jsonl`), 'utf8')
    .split('\n')
    .filter((line) => line !== '')

async function mail(subject = 'Hello Zoë', html = '<h1>Hi</h1><script>alert(1)</script>') {
  const transport = createTransport(`${sinks.email.url}/?ignoreTLS=true`)
  try {
    return await transport.sendMail({
      from: 'shop@shop.example',
      to: 'ada@shop.example',
      subject,
      text: 'Hi',
      html,
      headers: { 'List-Unsubscribe': '<https://shop.example/u/1>' },
    })
  } finally {
    transport.close()
  }
}

async function push(token: string) {
  const provider = await createPushProvider({
    kind: 'sink',
    port: sinks.push.port,
    caFile: sinks.push.caFile,
  })
  try {
    return await provider.send(
      {
        key: 'c1-1-push',
        to: token,
        subject: 'Thanks',
        text: 'Ten percent',
        html: null,
        unsubscribeUrl: '',
        data: { campaign: 7 },
      },
      AbortSignal.timeout(10_000),
    )
  } finally {
    await provider.close()
  }
}

function webhook(body: string, change: { secret?: string; atMs?: number; id?: string } = {}) {
  const id = change.id ?? 'msg_1'
  const timestamp = String(Math.floor((change.atMs ?? Date.now()) / 1000))
  const key = Buffer.from((change.secret ?? webhookSecret).replace('whsec_', ''), 'base64')
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')
  return fetch(sinks.webhook.url, {
    method: 'POST',
    body,
    headers: {
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,bm9uc2Vuc2U= v1,${signature}`,
    },
  })
}

test('a mail of nodemailer is parsed and on disk before it is acknowledged', async () => {
  await mail()
  expect(linesOf('email')).toHaveLength(1)
  expect(sinks.list('email')[0]).toMatchObject({
    to: ['ada@shop.example'],
    subject: 'Hello Zoë',
    text: 'Hi',
    headers: { 'list-unsubscribe': '<https://shop.example/u/1>' },
  })
})

test('a push of firebase-admin goes through TLS under the sink’s own authority', async () => {
  expect(await push('token-1')).toMatchObject({ kind: 'sent' })
  expect(JSON.parse(linesOf('push')[0] ?? '')).toMatchObject({
    to: 'token-1',
    title: 'Thanks',
    body: 'Ten percent',
    data: { campaign: '7' },
  })
})

test('tokens are refused as Google refuses them', async () => {
  const kinds = [await push('unregistered-1'), await push('quota-1'), await push('unavailable-1')]
  expect(kinds.map((one) => one.kind)).toEqual(['refused', 'later', 'later'])
  expect(sinks.counts().push).toBe(0)
})

test('a webhook is kept when its signature is genuine and fresh, and refused otherwise', async () => {
  const body = JSON.stringify({ type: 'segment.entered', data: { userId: 'u' } })
  expect((await webhook(body)).status).toBe(204)
  const stranger = `whsec_${randomBytes(24).toString('base64')}`
  expect((await webhook(body, { secret: stranger })).status).toBe(401)
  expect((await webhook(body, { atMs: Date.now() - 600_000 })).status).toBe(401)
  expect((await webhook(body, { id: '' })).status).toBe(401)
  expect((await fetch(sinks.webhook.url)).status).toBe(405)
  expect((await webhook('x'.repeat(1_000_001))).status).toBe(413)
  expect(sinks.list('webhook')).toMatchObject([{ id: 'msg_1', body: { type: 'segment.entered' } }])
})

test('planned faults refuse, put off and cut, as many times as told', async () => {
  sinks.failNext('email', 1, 'reject')
  sinks.failNext('email', 1, 'later')
  sinks.failNext('email', 1, 'cut')
  await expect(mail()).rejects.toMatchObject({ responseCode: 550 })
  await expect(mail()).rejects.toMatchObject({ responseCode: 451 })
  expect(sinks.counts().email).toBe(0)
  await expect(mail('cut')).rejects.toThrow()
  expect(sinks.list('email')).toMatchObject([{ subject: 'cut' }])
  await mail('after')
  expect(sinks.counts().email).toBe(2)

  sinks.failNext('webhook', 1, 'later')
  sinks.failNext('webhook', 1, 'cut')
  expect((await webhook('{}')).status).toBe(503)
  await expect(webhook('{}', { id: 'cut' })).rejects.toThrow()
  expect(sinks.list('webhook')).toMatchObject([{ id: 'cut' }])
})

test('a paused channel gives no answer until it is resumed', async () => {
  sinks.pause('webhook')
  let answered = false
  const reply = webhook('{}').then((response) => {
    answered = true
    return response.status
  })
  await mail()
  expect(answered).toBe(false)
  sinks.resume('webhook')
  expect(await reply).toBe(204)
})

test('what was kept is there after a restart; a line that a crash tore is dropped', async () => {
  await mail('first')
  await push('token-1')
  await sinks.stop()
  appendFileSync(join(dir, 'email.jsonl'), '{"at":"2026-11-21T00:00:00.000Z","id":"to')
  sinks = await start()
  expect(sinks.counts()).toEqual({ email: 1, push: 1, webhook: 0 })
  await mail('second')
  expect(linesOf('email').map((line) => JSON.parse(line).subject)).toEqual(['first', 'second'])
  expect(sinks.list('email').map((entry) => entry.subject)).toEqual(['second', 'first'])
  // The certificates are the same, so that a running pool still trusts them.
  expect(await push('token-2')).toMatchObject({ kind: 'sent' })
})

test('many at once are all kept, and counted once each', async () => {
  const replies = await Promise.all(
    Array.from({ length: 200 }, (_, i) => webhook('{}', { id: `msg_${i}` }).then((reply) => reply.status)),
  )
  expect(new Set(replies)).toEqual(new Set([204]))
  expect(new Set(linesOf('webhook').map((line) => JSON.parse(line).id)).size).toBe(200)
  expect(sinks.counts().webhook).toBe(200)
})

test('the outbox lists every channel, and its page allows no script but its own', async () => {
  await mail()
  await webhook(JSON.stringify({ type: 'segment.entered' }))
  const { url } = sinks.outbox
  expect(await (await fetch(`${url}api/messages`)).json()).toMatchObject({
    email: { count: 1, recent: [{ subject: 'Hello Zoë' }] },
    push: { count: 0, recent: [] },
    webhook: { count: 1, recent: [{ body: { type: 'segment.entered' } }] },
  })
  const page = await fetch(url)
  expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'; script-src 'sha256-/)
  expect(await page.text()).toContain("setAttribute('sandbox', '')")
  expect((await fetch(`${url}other`)).status).toBe(404)
})

test('the outbox answers only to names of this machine', async () => {
  const statusFor = (host: string) =>
    new Promise<number>((resolve, reject) => {
      const call = request({ port: sinks.outbox.port, path: '/api/messages', headers: { host } }, (reply) => {
        reply.resume()
        resolve(reply.statusCode ?? 0)
      })
      call.on('error', reject)
      call.end()
    })
  expect(await statusFor(`127.0.0.1:${sinks.outbox.port}`)).toBe(200)
  expect(await statusFor(`localhost:${sinks.outbox.port}`)).toBe(200)
  expect(await statusFor('attacker.example')).toBe(403)
})

test('stopping ends at once, also with a message that waits', async () => {
  sinks.pause('email')
  const waiting = mail().catch(() => 'ended')
  await sinks.stop()
  await waiting
  sinks = await start()
})
