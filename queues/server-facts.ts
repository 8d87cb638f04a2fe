// What the doctor wants to know of a Redis server beside its settings (queues/safety.ts). Read only.
import type { RedisClient } from './connection.ts'

export type RedisFacts = { product: 'redis' | 'valkey'; version: string; major: number; nowMs: number }

export async function readRedisFacts(redis: RedisClient): Promise<RedisFacts> {
  const info = await redis.info('server')
  const read = (field: string) => new RegExp(`^${field}:(\\S+)`, 'm').exec(info)?.[1]
  const [seconds, micros] = await redis.time()
  const version = read('valkey_version') ?? read('redis_version') ?? '0'
  return {
    product: read('valkey_version') === undefined ? 'redis' : 'valkey',
    version,
    major: Number(version.split('.')[0]),
    nowMs: Number(seconds) * 1000 + Number(micros) / 1000,
  }
}
