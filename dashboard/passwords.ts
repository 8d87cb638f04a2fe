// Passwords of dashboard users: scrypt texts `scrypt$N$r$p$salt$hash`, checked in constant time and a few at once only,
// since each check takes 32 MB.
import { createHash, randomBytes, randomInt, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto'
import pLimit from 'p-limit'
import { fail } from '../runtime/errors.ts'

/** OWASP's scrypt settings for 32 MB. */
const COST = { N: 2 ** 15, r: 8, p: 3 }
const MAX_WAITING = 20
const oneAtATime = pLimit(1)

/** Hashes a new password. Throws `invalid_config` when it is shorter than 12 characters. */
export async function hashPassword(password: string): Promise<string> {
  if (password.length < 12) throw fail('invalid_config', 'a dashboard password needs 12 characters or more')
  const salt = randomBytes(16)
  const hash = await derive(password, salt, COST)
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64'), hash.toString('base64')].join('$')
}

/** Whether `password` made `stored`. An undefined `stored` (unknown user) takes as long and is never true. */
export async function verifyPassword(password: string, stored: string | undefined): Promise<boolean> {
  if (oneAtATime.pendingCount >= MAX_WAITING)
    throw fail('overloaded', 'too many log-ins at once', { retryAfterS: 5 })
  const [scheme, n, r, p, salt = '', hash = ''] = (stored ?? NOBODY).split('$')
  if (scheme !== 'scrypt') return false
  const expected = Buffer.from(hash, 'base64')
  const cost = { N: Number(n), r: Number(r), p: Number(p) }
  const actual = await oneAtATime(() => derive(password, Buffer.from(salt, 'base64'), cost))
  return actual.length === expected.length && timingSafeEqual(actual, expected) && stored !== undefined
}

/** A password to be printed once: 100 random bits, no letters that look alike. */
export function generatePassword(): string {
  const letters = 'abcdefghjkmnpqrstuvwxyz23456789'
  const group = () => Array.from({ length: 5 }, () => letters[randomInt(letters.length)]).join('')
  return [group(), group(), group(), group()].join('-')
}

/** Short fingerprint of a stored hash: sessions carry it, so that a changed password ends them. */
export function passwordStamp(stored: string): string {
  return createHash('sha256').update(stored).digest('base64url').slice(0, 16)
}

const NOBODY = `scrypt$${COST.N}$${COST.r}$${COST.p}$${Buffer.alloc(16).toString('base64')}$${Buffer.alloc(32).toString('base64')}`

function derive(password: string, salt: Buffer, cost: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFKC'), salt, 32, { ...cost, maxmem: 64 * 1024 * 1024 }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    )
  })
}
