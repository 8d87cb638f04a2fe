// What 2xx promises stands on Redis' settings: nothing may be evicted, and a write is on disk before it is answered.
import type { Redis } from 'ioredis'
import { type RedisClient, serversOf } from './connection.ts'

export type RedisFinding = { setting: string; is: string; shouldBe: string; why: string }

/** Settings that may lose or evict events, of the first server that has any; empty = safe. A Redis that hides CONFIG (some managed ones) yields one finding that says so. */
export async function findUnsafeSettings(redis: RedisClient): Promise<RedisFinding[]> {
  for (const server of serversOf(redis)) {
    const findings = await findUnsafeOf(server)
    if (findings.length > 0) return findings
  }
  return []
}

async function findUnsafeOf(redis: Redis): Promise<RedisFinding[]> {
  const findings: RedisFinding[] = []
  let read: (name: string) => Promise<string>
  try {
    await redis.config('GET', 'maxmemory-policy')
    read = async (name) => {
      const reply: unknown = await redis.config('GET', name)
      if (Array.isArray(reply)) return String(reply[1] ?? '')
      return typeof reply === 'object' && reply !== null ? String(Object.values(reply)[0] ?? '') : ''
    }
  } catch {
    return [
      {
        setting: 'CONFIG',
        is: 'not allowed',
        shouldBe: 'readable',
        why: 'durability cannot be checked on this Redis',
      },
    ]
  }
  const expect = async (setting: string, shouldBe: string, why: string, ok: (is: string) => boolean) => {
    const is = await read(setting)
    if (!ok(is)) findings.push({ setting, is: is === '' ? '(empty)' : is, shouldBe, why })
  }
  await expect(
    'maxmemory-policy',
    'noeviction',
    'an evicting Redis drops accepted events and locks',
    (is) => is === 'noeviction',
  )
  await expect(
    'appendonly',
    'yes',
    'without an append-only file a restart loses every accepted event',
    (is) => is === 'yes',
  )
  await expect(
    'appendfsync',
    'always',
    'with everysec a crash loses about a second of accepted events',
    (is) => is === 'always',
  )
  await expect(
    'maxmemory',
    'a size',
    'without maxmemory the collector cannot shed load before memory runs out',
    (is) => Number(is) > 0,
  )
  return findings
}
