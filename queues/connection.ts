// Redis connections of the queues, to one server, a cluster or what sentinels name the master. Producers fail fast (the
// caller owns the deadline), consumers retry for ever. All reconnect within a second: BullMQ's default backs off to 20 s
// and leaves workers idle that long.
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { fail } from '../runtime/errors.ts'
import { parseRedisUrl, type RedisAddress } from '../runtime/redis-url.ts'

export type RedisClient = Redis | Cluster

const retryStrategy = (attempt: number) => Math.min(50 * 2 ** Math.min(attempt, 5), 1000)

/** For adding jobs: rejects at once while Redis is away and after `commandTimeoutMs` when it is frozen. */
export function connectProducer(redisUrl: string, options: { commandTimeoutMs?: number } = {}): RedisClient {
  return connect(redisUrl, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: options.commandTimeoutMs ?? 5000,
  })
}

/** For workers: waits through an outage; `socketTimeout` is above the longest blocking read and finds dead peers. */
export function connectConsumer(redisUrl: string): RedisClient {
  return connect(redisUrl, { maxRetriesPerRequest: null, socketTimeout: 30_000, keepAlive: 5000 })
}

/** For the cache: what it holds can be rebuilt, so commands fail fast and callers carry on without. */
export function connectForCache(redisUrl: string): RedisClient {
  return connect(redisUrl, { maxRetriesPerRequest: 1, commandTimeout: 2000, lazyConnect: false })
}

type Tuning = Pick<
  RedisOptions,
  | 'enableOfflineQueue'
  | 'maxRetriesPerRequest'
  | 'commandTimeout'
  | 'socketTimeout'
  | 'keepAlive'
  | 'lazyConnect'
>

function connect(redisUrl: string, tuning: Tuning): RedisClient {
  const address = parseRedisUrl(redisUrl)
  if (address === undefined) throw fail('invalid_config', 'REDIS_URL is no address of a Redis')
  const redis = open(address, { lazyConnect: true, ...tuning })
  // Without a listener ioredis prints every refused connection; the callers' commands carry the error already.
  redis.on('error', () => {})
  return redis
}

function open(address: RedisAddress, tuning: Tuning): RedisClient {
  const { kind, hosts, username, password } = address
  const { lazyConnect = true, enableOfflineQueue = true, ...perServer } = tuning
  const server = {
    ...perServer,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(address.tls ? { tls: {} } : {}),
  }
  // Commands of callers that use no pipeline (the cache) travel together all the same.
  const enableAutoPipelining = !lazyConnect
  if (kind === 'cluster')
    return new Cluster(hosts, {
      redisOptions: server,
      lazyConnect,
      enableOfflineQueue,
      enableAutoPipelining,
      clusterRetryStrategy: retryStrategy,
      // While a replica takes over: about 15 s in all, then the command fails.
      maxRedirections: 30,
      retryDelayOnFailover: 500,
      retryDelayOnClusterDown: 500,
      slotsRefreshTimeout: 3000,
    })
  const options = { ...server, lazyConnect, enableOfflineQueue, enableAutoPipelining, retryStrategy }
  if (kind === 'single') return new Redis({ ...options, ...hosts[0] })
  return new Redis({
    ...options,
    sentinels: hosts,
    name: address.master,
    sentinelRetryStrategy: retryStrategy,
    // A master that became a replica answers so: ask the sentinels again, and send the command there.
    reconnectOnError: (error: Error) => (error.message.startsWith('READONLY') ? 2 : false),
  })
}

/** The servers that hold data: what is asked of a server and not of a key is asked of each. */
export function serversOf(redis: RedisClient): Redis[] {
  return redis instanceof Cluster ? redis.nodes('master') : [redis]
}

/** Connects a lazy connection and waits until it is usable; resolves too when it already is. */
export async function whenReady(redis: RedisClient): Promise<void> {
  if (redis.status === 'ready') return
  if (redis.status === 'wait') await redis.connect()
  else await new Promise<void>((resolve) => redis.once('ready', () => resolve()))
}
