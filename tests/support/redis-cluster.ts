// A real Redis Cluster of three masters on this machine, as production would have it: own folders, one password, AOF
// always. For the suites that also run against a cluster (TEST_REDIS=cluster) and the tests of failover (`replicas`).
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { type LocalRedis, startRedis } from '../../cli/local/redis.ts'
import { choosePort } from '../../cli/local/server.ts'
import { waitFor } from './wait-for.ts'

const SLOTS = 16_384
const MASTERS = 3
const PASSWORD = 'cluster-of-the-tests'

export type RedisCluster = {
  url: string
  masters: LocalRedis[]
  replicas: LocalRedis[]
  stop(): Promise<void>
}

/** Starts it and waits until every node says that all slots are served. */
export async function startRedisCluster(options: {
  dir: string
  maxmemoryMb: number
  replicas?: boolean
}): Promise<RedisCluster> {
  const startNode = (name: string) => startClusterNode(join(options.dir, name), options.maxmemoryMb)
  const names = Array.from({ length: MASTERS }, (_, i) => `master-${i}`)
  const masters = await Promise.all(names.map(startNode))
  const replicas =
    options.replicas === true ? await Promise.all(names.map((name) => startNode(`${name}-replica`))) : []
  const nodes = [...masters, ...replicas]
  const clients = nodes.map((node) => new Redis(node.url))
  try {
    await Promise.all(
      masters.map((_, i) => {
        const from = Math.ceil((i * SLOTS) / MASTERS)
        return clients[i]?.call('CLUSTER', 'ADDSLOTSRANGE', from, Math.ceil(((i + 1) * SLOTS) / MASTERS) - 1)
      }),
    )
    const first = clients[0]
    if (first === undefined) throw new Error('a cluster has nodes')
    for (const [i, node] of nodes.entries()) {
      if (i > 0) await first.call('CLUSTER', 'MEET', '127.0.0.1', node.port, busPortOf(node))
    }
    await allSay(
      clients,
      (info) => info.includes(`cluster_known_nodes:${nodes.length}`),
      'to know each other',
    )
    for (const [i, client] of clients.slice(MASTERS).entries()) {
      const id = String(await clients[i]?.call('CLUSTER', 'MYID'))
      await client.call('CLUSTER', 'REPLICATE', id)
    }
    await allSay(clients, (info) => info.includes('cluster_state:ok'), 'to serve all slots')
  } finally {
    for (const client of clients) client.disconnect()
  }
  return {
    url: `redis+cluster://:${PASSWORD}@${masters.map((node) => `127.0.0.1:${node.port}`).join(',')}`,
    masters,
    replicas,
    stop: async () => {
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
}

const busPorts = new WeakMap<LocalRedis, number>()

function busPortOf(node: LocalRedis): number {
  return busPorts.get(node) ?? 0
}

async function startClusterNode(dir: string, maxmemoryMb: number): Promise<LocalRedis> {
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'password'), PASSWORD, { mode: 0o600 })
  // Redis would take its port + 10,000, which may be above the last port.
  const busPort = await choosePort(0)
  const extra = [
    'cluster-enabled yes',
    `cluster-port ${busPort}`,
    'cluster-config-file nodes.conf',
    'cluster-node-timeout 2000',
    `masterauth ${PASSWORD}`,
  ]
  const node = await startRedis({ dir, port: 0, maxmemoryMb, log: () => {}, env: process.env, extra })
  busPorts.set(node, busPort)
  return node
}

async function allSay(clients: Redis[], says: (info: string) => boolean, what: string): Promise<void> {
  await waitFor(
    async () => {
      const infos = await Promise.all(clients.map((client) => client.call('CLUSTER', 'INFO')))
      return infos.every((info) => says(String(info)))
    },
    { timeoutMs: 30_000, everyMs: 100, what: `the nodes of the cluster ${what}` },
  )
}
