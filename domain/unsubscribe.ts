// Unsubscribe tokens: opaque to readers of a mail, signed so that nobody can unsubscribe somebody else. Pure.
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Channel } from '../schema/jobs.ts'

export type Unsubscribe = { campaignId: number; profileId: number; channel: Channel }

const CHANNEL_CODES: Record<Channel, string> = { email: 'e', push: 'p', webhook: 'w', sms: 's' }

export function makeUnsubscribeToken(secret: string, what: Unsubscribe): string {
  const body = `${what.campaignId.toString(36)}.${what.profileId.toString(36)}.${CHANNEL_CODES[what.channel]}`
  return `${Buffer.from(body).toString('base64url')}.${signatureOf(secret, body).toString('base64url')}`
}

/** What a token stands for, or undefined when it was not made with this secret. Constant-time compare. */
export function readUnsubscribeToken(secret: string, token: string): Unsubscribe | undefined {
  const [bodyText, signatureText] = token.split('.')
  if (bodyText === undefined || signatureText === undefined) return undefined
  const body = Buffer.from(bodyText, 'base64url').toString('utf8')
  const given = Buffer.from(signatureText, 'base64url')
  const expected = signatureOf(secret, body)
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined
  const [campaign = '', profile = '', code] = body.split('.')
  const channel = (Object.keys(CHANNEL_CODES) as Channel[]).find((name) => CHANNEL_CODES[name] === code)
  if (channel === undefined) return undefined
  return { campaignId: Number.parseInt(campaign, 36), profileId: Number.parseInt(profile, 36), channel }
}

function signatureOf(secret: string, body: string): Buffer {
  return createHmac('sha256', `unsubscribe:${secret}`).update(body).digest().subarray(0, 18)
}
