// Redis connections of the queues. Producers fail fast (the caller owns the deadline), consumers retry for ever.
// Both reconnect within a second: BullMQ's default backs off to 20 s and leaves workers idle that long.
import { Redis, type RedisOptions } from 'ioredis'

export type RedisConnection = Redis

const retryStrategy = (attempt: number) => Math.min(50 * 2 ** Math.min(attempt, 5), 1000)

/** For adding jobs: rejects at once while Redis is away and after `commandTimeoutMs` when it is frozen. */
export function connectProducer(redisUrl: string, options: { commandTimeoutMs?: number } = {}): Redis {
  return connect(redisUrl, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: options.commandTimeoutMs ?? 5000,
    retryStrategy,
    lazyConnect: true,
  })
}

/** For workers: waits through an outage; `socketTimeout` is above the longest blocking read and finds dead peers. */
export function connectConsumer(redisUrl: string): Redis {
  return connect(redisUrl, {
    maxRetriesPerRequest: null,
    socketTimeout: 30_000,
    keepAlive: 5000,
    retryStrategy,
    lazyConnect: true,
  })
}

type Tuning = Pick<
  RedisOptions,
  | 'enableOfflineQueue'
  | 'maxRetriesPerRequest'
  | 'commandTimeout'
  | 'socketTimeout'
  | 'keepAlive'
  | 'retryStrategy'
  | 'lazyConnect'
>

function connect(redisUrl: string, options: Tuning): Redis {
  const redis = new Redis(redisUrl, options)
  // Without a listener ioredis prints every refused connection; the callers' commands carry the error already.
  redis.on('error', () => {})
  return redis
}

/** Connects a lazy connection and waits until it is usable; resolves too when it already is. */
export async function whenReady(redis: Redis): Promise<void> {
  if (redis.status === 'ready') return
  if (redis.status === 'wait') await redis.connect()
  else await new Promise<void>((resolve) => redis.once('ready', () => resolve()))
}
