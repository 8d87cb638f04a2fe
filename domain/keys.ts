// API keys: their format, checksum and hash. `mk_pub_…` may sit in an app and can only write events of one source;
// `mk_sec_…` is for servers: read and admin. 128 random bits in base62 (22 characters) and a 6-character checksum, so
// that a mistyped key is told from an unknown one without a look-up. Pure: randomness is passed in.
import { createHash } from 'node:crypto'

export type KeyKind = 'pub' | 'sec'

/** What the stores and the auth plugins know of a key; never the key itself. */
export type KeyRecord = {
  keyId: number
  kind: KeyKind
  /** The source that a pub key writes for; null for sec keys. */
  sourceId: number | null
  /** Oldest event time (ms) its source accepts; null = the retention of the deployment. */
  acceptEventsSince: number | null
  /** Exact origins (`https://shop.example`) a browser may send from; empty = any. */
  allowedOrigins: string[]
  /** Addresses or CIDR ranges that may send; empty = any. */
  allowedIps: string[]
  rateLimitPerSecond: number | null
}

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const KEY_PATTERN = /^mk_(pub|sec)_([0-9A-Za-z]{22})([0-9A-Za-z]{6})$/

/** Makes a key from 16 random bytes. */
export function formatKey(kind: KeyKind, random: Uint8Array): string {
  if (random.length !== 16) throw new Error('a key needs 16 random bytes')
  const body = base62(BigInt(`0x${Buffer.from(random).toString('hex')}`), 22)
  return `mk_${kind}_${body}${checksum(kind, body)}`
}

/** The kind of a well-formed key, or undefined when it is mistyped or no key at all. */
export function parseKey(text: string): KeyKind | undefined {
  const match = KEY_PATTERN.exec(text)
  if (match === null) return undefined
  const [, kind, body, sum] = match
  if ((kind !== 'pub' && kind !== 'sec') || body === undefined) return undefined
  return checksum(kind, body) === sum ? kind : undefined
}

/** What is stored and looked up: SHA-256 of the whole key (128 random bits need no salt). */
export function hashKey(key: string): Buffer {
  return createHash('sha256').update(key, 'utf8').digest()
}

function checksum(kind: KeyKind, body: string): string {
  const digest = createHash('sha256').update(`${kind}_${body}`, 'utf8').digest()
  return base62(BigInt(digest.readUInt32BE(0)), 6)
}

function base62(value: bigint, length: number): string {
  let rest = value
  let text = ''
  for (let i = 0; i < length; i++) {
    text = ALPHABET[Number(rest % 62n)] + text
    rest /= 62n
  }
  return text
}
