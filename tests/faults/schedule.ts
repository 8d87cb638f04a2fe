// A schedule of faults drawn by a seed: the same seed gives the same faults at the same times. They may overlap; only
// faults of one server wait for each other. Used by schedules.deep.ts.
import { createRandom } from '../../cli/demo/random.ts'
import type { Deployment } from '../support/deployment.ts'
import type { Peer } from './links.ts'
import type { Nemesis } from './nemesis.ts'

const POOLS = ['collector', 'ingest', 'persist', 'segment', 'deliver', 'archive', 'schedule'] as const
const KINDS = [
  'kill',
  'freeze',
  'cut',
  'hold replies',
  'slow',
  'swallow commits',
  'swallow adds',
  'kill redis',
  'crash postgres',
  'mails cut',
] as const

export type Fault = {
  kind: (typeof KINDS)[number]
  atMs: number
  forMs: number
  pool: string
  peer: Peer
}

const FAULTS = 10
const WITHIN_MS = 15_000

export function drawSchedule(seed: number): Fault[] {
  const random = createRandom(seed, 'faults')
  const pick = <T>(from: readonly T[]): T => {
    const one = from[Math.floor(random.next() * from.length)]
    if (one === undefined) throw new Error('nothing to pick from')
    return one
  }
  return Array.from({ length: FAULTS }, () => ({
    kind: pick(KINDS),
    atMs: Math.round(random.next() * WITHIN_MS),
    forMs: Math.round(300 + random.next() * 3500),
    pool: pick(POOLS),
    peer: pick(['redis', 'postgres'] as const),
  })).sort((a, b) => a.atMs - b.atMs)
}

export function describeFault({ kind, atMs, forMs, pool, peer }: Fault): string {
  const where = /redis|postgres|mails|swallow/.test(kind) ? '' : ` ${pool}`
  const link = /cut$|hold|slow/.test(kind) && where !== '' ? `–${peer}` : ''
  return `  ${String(atMs).padStart(6)} ms  ${kind}${where}${link}, ${forMs} ms`
}

/** Does all of it and heals; returns how much each kind has broken. */
export async function runSchedule(
  deployment: Deployment,
  nemesis: Nemesis,
  schedule: Fault[],
): Promise<Record<string, number>> {
  const broken: Record<string, number> = {}
  const servers = { redis: Promise.resolve(), postgres: Promise.resolve() }
  await Promise.all(
    schedule.map(async (fault) => {
      await nemesis.pause(fault.atMs)
      const count = await strike(deployment, nemesis, fault, servers)
      broken[fault.kind] = (broken[fault.kind] ?? 0) + count
    }),
  )
  deployment.links.healAll()
  return { 'things broken': Object.values(broken).reduce((sum, count) => sum + count, 0), ...onlyHit(broken) }
}

function onlyHit(broken: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(broken).filter(([, count]) => count > 0))
}

async function strike(
  { stack, links }: Deployment,
  nemesis: Nemesis,
  { kind, forMs, pool, peer }: Fault,
  servers: { redis: Promise<void>; postgres: Promise<void> },
): Promise<number> {
  const link = links.of(pool, peer)
  switch (kind) {
    case 'kill':
      stack.processOf(pool).kill('SIGKILL')
      return 1
    case 'freeze':
      stack.processOf(pool).kill('SIGSTOP')
      await nemesis.pause(forMs)
      stack.processOf(pool).kill('SIGCONT')
      return 1
    case 'cut':
      return link.reset()
    case 'hold replies':
      link.set({ holdReplies: true })
      await nemesis.pause(forMs)
      link.set({ holdReplies: false })
      return link.connections()
    case 'slow':
      link.set({ latencyMs: 100, jitterMs: 50 })
      await nemesis.pause(forMs)
      link.set({ latencyMs: 0, jitterMs: 0 })
      return link.connections()
    case 'swallow commits': {
      const hits = links.of('persist', 'postgres').plan({
        on: 'reply',
        matches: /^C COMMIT/,
        act: 'swallow',
        times: 3,
      })
      await nemesis.pause(forMs)
      return hits()
    }
    case 'swallow adds': {
      const hits = links.of('collector', 'redis').plan({
        on: 'request',
        matches: /^evalsha .*-ingest\}:ingest:/,
        act: 'swallow',
        times: 3,
      })
      await nemesis.pause(forMs)
      return hits()
    }
    case 'kill redis':
      servers.redis = servers.redis.then(async () => {
        stack.redis?.kill('SIGKILL')
        await nemesis.pause(forMs / 3)
        await stack.redis?.restart()
      })
      await servers.redis
      return 1
    case 'crash postgres':
      servers.postgres = servers.postgres.then(async () => stack.postgres?.restartImmediate())
      await servers.postgres
      return 1
    case 'mails cut':
      stack.sinks.failNext('email', 3, 'cut')
      return 3
  }
}
