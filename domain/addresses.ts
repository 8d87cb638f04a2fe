// Addresses of people: their own cheap checks before a library sees them, the keyed hash that suppressions are kept
// under, and the allow-list that stands before real providers. Pure.
import { createHmac } from 'node:crypto'
import type { Channel } from '../schema/jobs.ts'

const EMAIL = /^[^\s\p{C}@"(),:;<>[\\\]]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?$/u
const CONTROL = /\p{Cc}/u

/** A mail address we are willing to hand to an SMTP server: one mailbox, no display name, no control characters. */
export function isEmailAddress(text: string): boolean {
  return text.length <= 254 && EMAIL.test(text) && !text.includes('..')
}

/** True for text that may stand in a header: a line break there would start a header of its own. */
export function isHeaderSafe(text: string): boolean {
  return !CONTROL.test(text)
}

/** The address a channel writes to, out of a profile's traits; undefined = there is none. */
export function addressOf(channel: Channel, traits: Record<string, unknown>): string | undefined {
  const names: Record<Channel, string[]> = {
    email: ['email'],
    push: ['pushToken', 'push_token', 'deviceToken'],
    sms: ['phone'],
    webhook: [],
  }
  for (const name of names[channel]) {
    const value = traits[name]
    if (typeof value === 'string' && value.trim() !== '') return value.trim()
  }
  return undefined
}

/** Keyed hash of an address: suppression works without keeping the address. */
export function addressHash(secret: string, channel: Channel, address: string): Buffer {
  const normal = channel === 'email' ? address.trim().toLowerCase() : address.trim()
  return createHmac('sha256', `suppression:${secret}`).update(`${channel}\u0000${normal}`).digest()
}

/** Whose address on a channel, as its keyed hash. */
export type HashedAddress = { profileId: number; channel: Channel; addressHash: Buffer }

/** The addresses that these people have on these channels. */
export function hashedAddresses(
  channels: Channel[],
  people: { profileId: number; traits: Record<string, unknown> }[],
  secret: string,
): HashedAddress[] {
  return people.flatMap(({ profileId, traits }) =>
    channels.flatMap((channel) => {
      const address = addressOf(channel, traits)
      if (address === undefined) return []
      return [{ profileId, channel, addressHash: addressHash(secret, channel, address) }]
    }),
  )
}

/** `*` lifts the list; otherwise an exact address or `@domain`. */
export function isOnAllowList(allowList: readonly string[], address: string): boolean {
  const lower = address.toLowerCase()
  return allowList.some((entry) => {
    const wanted = entry.toLowerCase()
    return wanted === '*' || wanted === lower || (wanted.startsWith('@') && lower.endsWith(wanted))
  })
}
