// The proxies of one deployment: each process has its own to Redis, to Postgres and to the sinks, so that a fault hits
// one hop and no other; and one stands before the collector. Made by tests/support/deployment.ts, used by the rows.
import type { Stack } from '../../cli/local/stack.ts'
import { postgresReplies, redisCommands } from './framing.ts'
import { type FaultProxy, startProxy } from './proxy.ts'

export type Peer = 'redis' | 'postgres' | 'email' | 'push' | 'webhook'

export type Links = {
  /** Starts the proxies of a process, named by its first pool; returns where it is to find its peers. */
  envOf(name: string): Promise<Record<string, string>>
  /** The same addresses again, for another process behind the same proxies. */
  addressesOf(pool: string): Record<string, string>
  /** The proxy between the process that runs `pool` and a peer. */
  of(pool: string, peer: Peer): FaultProxy
  /** Every proxy to a peer. */
  all(peer?: Peer): FaultProxy[]
  /** Starts a proxy before the collector; returns its address. */
  beforeCollector(): Promise<{ url: string; proxy: FaultProxy }>
  healAll(): void
  close(): Promise<void>
}

export function openLinks(stack: Stack): Links {
  const proxies = new Map<string, FaultProxy>()
  const addresses = new Map<string, Record<string, string>>()
  const keep = async (key: string, options: Parameters<typeof startProxy>[0]) => {
    const proxy = await startProxy(options)
    proxies.set(key, proxy)
    return proxy
  }
  const rerouted = (url: string, port: number) => {
    const changed = new URL(url)
    changed.port = String(port)
    return changed.toString()
  }
  const processNameOf = (pool: string) => stack.processOf(pool).pools[0] ?? ''

  return {
    async envOf(name) {
      const { redisUrl, databaseUrl, localSmtpPort, localPushPort, localWebhookUrl } = stack.config
      const port = (url: string) => Number(new URL(url).port)
      const redis = await keep(`${name} redis`, { targetPort: port(redisUrl), requests: redisCommands })
      const postgres = await keep(`${name} postgres`, {
        targetPort: port(databaseUrl),
        replies: postgresReplies,
      })
      const email = await keep(`${name} email`, { targetPort: localSmtpPort })
      const push = await keep(`${name} push`, { targetPort: localPushPort })
      const webhook = await keep(`${name} webhook`, { targetPort: port(localWebhookUrl) })
      const env = {
        REDIS_URL: rerouted(redisUrl, redis.port),
        DATABASE_URL: rerouted(databaseUrl, postgres.port),
        MILLRACE_LOCAL_SMTP_PORT: String(email.port),
        MILLRACE_LOCAL_PUSH_PORT: String(push.port),
        MILLRACE_LOCAL_WEBHOOK_URL: rerouted(localWebhookUrl, webhook.port),
      }
      addresses.set(name, env)
      return env
    },
    addressesOf: (pool) => addresses.get(processNameOf(pool)) ?? {},
    of(pool, peer) {
      const proxy = proxies.get(`${processNameOf(pool)} ${peer}`)
      if (proxy === undefined) throw new Error(`no proxy between ${pool} and ${peer}: start with links`)
      return proxy
    },
    all: (peer) =>
      [...proxies]
        .filter(([key]) => peer === undefined || key.endsWith(` ${peer}`))
        .map(([, proxy]) => proxy),
    async beforeCollector() {
      const url = stack.addresses().http ?? ''
      const proxy = await keep('client http', { targetPort: Number(new URL(url).port) })
      return { url: rerouted(url, proxy.port), proxy }
    },
    healAll() {
      for (const proxy of proxies.values()) proxy.heal()
    },
    async close() {
      await Promise.all([...proxies.values()].map((proxy) => proxy.close()))
    },
  }
}
