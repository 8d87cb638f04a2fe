// Who asks: reads a key from the Authorization header and finds its record, remembering the answer for a few seconds so
// that a revocation works within five. Knows no table: `findKey` is passed in. Used by API and dashboard feeds.
import { hashKey, type KeyRecord, parseKey } from '../domain/keys.ts'
import type { Clock } from './clock.ts'
import { fail } from './errors.ts'

export type FindKey = (keyHash: Buffer) => Promise<KeyRecord | undefined>

export type KeyAuth = {
  /** The record of the key in an Authorization header; throws `unauthorized` with the reason when there is none. */
  authenticate(authorization: string | undefined): Promise<KeyRecord>
  /** Forgets what is remembered: the process that revokes a key refuses it at once. */
  forget(): void
}

const REMEMBERED_KEYS = 10_000

/** `rememberMs` bounds how long a revoked key still works here (revocation is promised within 5 s). */
export function createKeyAuth(options: { findKey: FindKey; clock: Clock; rememberMs?: number }): KeyAuth {
  const rememberMs = options.rememberMs ?? 3000
  const remembered = new Map<string, { until: number; record: Promise<KeyRecord | undefined> }>()

  function lookUp(key: string): Promise<KeyRecord | undefined> {
    const hash = hashKey(key)
    const name = hash.toString('base64')
    const now = options.clock.now()
    const known = remembered.get(name)
    if (known !== undefined && known.until > now) return known.record
    const record = options.findKey(hash)
    // Guessed keys must not fill the memory: the oldest entries go first.
    if (remembered.size >= REMEMBERED_KEYS) {
      const [oldest] = remembered.keys()
      if (oldest !== undefined) remembered.delete(oldest)
    }
    remembered.set(name, { until: now + rememberMs, record })
    // An outage is not an answer: the next request asks again.
    record.catch(() => remembered.delete(name))
    return record
  }

  return {
    async authenticate(authorization) {
      const text = keyOfHeader(authorization)
      if (text === undefined) {
        throw fail(
          'unauthorized',
          'send a key as `Authorization: Bearer mk_sec_…` or as the user of Basic auth',
        )
      }
      if (parseKey(text) === undefined)
        throw fail('unauthorized', 'the key is mistyped: its checksum does not fit')
      const record = await lookUp(text)
      if (record === undefined) throw fail('unauthorized', 'the key is unknown or revoked')
      return record
    },
    forget: () => remembered.clear(),
  }
}

/** The key text of `Bearer <key>` or of Basic auth with the key as user name; undefined when there is none. */
function keyOfHeader(authorization: string | undefined): string | undefined {
  const [scheme = '', value = ''] = (authorization ?? '').trim().split(/\s+/, 2)
  if (value === '' || value.length > 1000) return undefined
  if (scheme.toLowerCase() === 'bearer') return value
  if (scheme.toLowerCase() !== 'basic') return undefined
  const user = Buffer.from(value, 'base64').toString('utf8').split(':', 1)[0]
  return user === '' ? undefined : user
}
