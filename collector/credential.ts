// What a request must show to write: a key in its headers or its body, good for a source, this origin, this address
// and this rate. Pure but for the token buckets; look-ups are in key-cache.ts. Reasons never quote a key.
import { BlockList, isIP } from 'node:net'
import { plainIp } from '../domain/ip.ts'
import type { KeyRecord } from '../domain/keys.ts'
import { fail } from '../runtime/errors.ts'

/** A key that may write, with its source. */
export type Writer = KeyRecord & { sourceId: number }

/** A key's record, made ready for the hot path; `writer` is undefined for secret keys. */
export type Credential = { record: KeyRecord; writer: Writer | undefined; ips: BlockList | undefined }

export function prepareCredential(record: KeyRecord): Credential {
  const { sourceId } = record
  return {
    record,
    writer: record.kind === 'pub' && sourceId !== null ? { ...record, sourceId } : undefined,
    ips: record.allowedIps.length === 0 ? undefined : compileRanges(record.allowedIps),
  }
}

/** Entries that are no address or CIDR range let nobody in rather than everybody. */
function compileRanges(ranges: string[]): BlockList {
  const list = new BlockList()
  for (const range of ranges) {
    const [address = '', bits] = range.split('/')
    const family = isIP(address)
    if (family === 0) continue
    const type = family === 4 ? 'ipv4' : 'ipv6'
    const width = bits === undefined ? (family === 4 ? 32 : 128) : Number(bits)
    if (Number.isInteger(width) && width >= 0 && width <= (family === 4 ? 32 : 128)) {
      list.addSubnet(address, width, type)
    }
  }
  return list
}

/** The key text of an Authorization header: user name of Basic, token of Bearer; undefined when there is no header. */
export function keyOfHeader(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined
  const space = authorization.indexOf(' ')
  const scheme = authorization.slice(0, space).toLowerCase()
  const rest = authorization.slice(space + 1).trim()
  if (scheme === 'bearer') return rest
  if (scheme === 'basic') {
    const pair = Buffer.from(rest, 'base64').toString('latin1')
    const colon = pair.indexOf(':')
    return colon === -1 ? pair : pair.slice(0, colon)
  }
  throw fail('unauthorized', 'the Authorization header is neither Basic nor Bearer', {
    field: 'authorization',
  })
}

/** The key as a writer; throws `forbidden` unless it may write from here. */
export function checkMayWrite(
  credential: Credential,
  from: { origin: string | undefined; address: string },
): Writer {
  const { record, writer } = credential
  if (writer === undefined) {
    throw from.origin === undefined
      ? fail('forbidden', 'a secret key belongs to no source: send events with a write key (mk_pub_…)')
      : fail('forbidden', 'a secret key was sent by a browser: revoke it and use a write key (mk_pub_…)')
  }
  if (
    from.origin !== undefined &&
    record.allowedOrigins.length > 0 &&
    !record.allowedOrigins.includes(from.origin.toLowerCase())
  ) {
    throw fail('forbidden', 'the key may not be used from this origin', { field: 'origin' })
  }
  if (credential.ips !== undefined) {
    const address = plainIp(from.address)
    if (!credential.ips.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')) {
      throw fail('forbidden', 'the key may not be used from this address')
    }
  }
  return writer
}

type Bucket = { tokens: number; filledAt: number }
export type RateLimiter = {
  /** Takes `events` tokens of a key's bucket; throws `rate_limited` with the time until there are enough. */
  take(record: KeyRecord, events: number): void
}

/**
 * A token bucket a key, in this process: with n collectors a key may send n times its rate. Holds one second's worth;
 * a request larger than that is taken when the bucket is full and leaves a debt.
 */
export function openRateLimiter(nowMs: () => number): RateLimiter {
  const buckets = new Map<number, Bucket>()
  return {
    take(record, events) {
      const rate = record.rateLimitPerSecond
      if (rate === null) return
      const now = nowMs()
      let bucket = buckets.get(record.keyId)
      if (bucket === undefined) {
        bucket = { tokens: rate, filledAt: now }
        buckets.set(record.keyId, bucket)
      }
      bucket.tokens = Math.min(rate, bucket.tokens + ((now - bucket.filledAt) / 1000) * rate)
      bucket.filledAt = now
      const needed = Math.min(events, rate)
      if (bucket.tokens < needed) {
        throw fail('rate_limited', `the key may send ${rate} events a second`, {
          retryAfterS: Math.max(1, Math.ceil((needed - bucket.tokens) / rate)),
        })
      }
      bucket.tokens -= events
    },
  }
}
