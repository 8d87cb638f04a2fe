// What we sign: webhooks as Standard Webhooks has them, and unsubscribe tokens nobody else can make.
import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { makeUnsubscribeToken, readUnsubscribeToken } from '../../domain/unsubscribe.ts'
import { signWebhook } from '../../domain/webhook-signature.ts'
import { CHANNELS } from '../../schema/jobs.ts'

describe('webhook signatures', () => {
  test('are those of the standard’s own example', () => {
    // https://github.com/standard-webhooks/standard-webhooks: the vector its libraries test with.
    const headers = signWebhook('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', {
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      timestampS: 1614265330,
      body: '{"test": 2432232314}',
    })
    expect(headers).toEqual({
      'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    })
  })

  test('change with the id, the time, the body and the secret', () => {
    const base = { id: 'c1-s1-webhook', timestampS: 1_700_000_000, body: '{"a":1}' }
    const secret = `whsec_${Buffer.from('one').toString('base64')}`
    const signatures = [
      signWebhook(secret, base),
      signWebhook(secret, { ...base, id: 'c1-s2-webhook' }),
      signWebhook(secret, { ...base, timestampS: base.timestampS + 1 }),
      signWebhook(secret, { ...base, body: '{"a":2}' }),
      signWebhook(`whsec_${Buffer.from('two').toString('base64')}`, base),
    ].map((headers) => headers['webhook-signature'])
    expect(new Set(signatures).size).toBe(signatures.length)
  })

  test('sign the bytes of the body, whatever they are', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (body) => {
        const key = Buffer.from('secret')
        const headers = signWebhook(`whsec_${key.toString('base64')}`, { id: 'i', timestampS: 1, body })
        const expected = createHmac('sha256', key)
          .update(Buffer.from(`i.1.${body}`))
          .digest('base64')
        return headers['webhook-signature'] === `v1,${expected}`
      }),
    )
  })
})

describe('unsubscribe tokens', () => {
  const what = fc.record({
    campaignId: fc.integer({ min: 1, max: 2_147_483_647 }),
    profileId: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
    channel: fc.constantFrom(...CHANNELS),
  })

  test('say what they were made for, and stand in a URL as they are', () => {
    fc.assert(
      fc.property(what, (one) => {
        const token = makeUnsubscribeToken('secret', one)
        expect(readUnsubscribeToken('secret', token)).toEqual(one)
        expect(encodeURIComponent(token)).toBe(token)
      }),
    )
  })

  test('of another secret, or changed in one character, say nothing', () => {
    fc.assert(
      fc.property(what, fc.nat(), (one, at) => {
        const token = makeUnsubscribeToken('secret', one)
        expect(readUnsubscribeToken('other', token)).toBeUndefined()
        const index = at % token.length
        const other = token[index] === 'A' ? 'B' : 'A'
        const read = readUnsubscribeToken(
          'secret',
          `${token.slice(0, index)}${other}${token.slice(index + 1)}`,
        )
        // The last character of a base64 text may carry bits that mean nothing: then it is the same token.
        if (read !== undefined) expect(read).toEqual(one)
      }),
    )
  })

  test('that are no tokens say nothing and throw nothing', () => {
    fc.assert(fc.property(fc.string(), (text) => readUnsubscribeToken('secret', text) === undefined))
    for (const text of ['', '.', 'a.', '.a', 'a.b.c', `${'A'.repeat(1e6)}.x`])
      expect(readUnsubscribeToken('secret', text)).toBeUndefined()
  })
})
