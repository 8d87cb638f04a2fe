// The board with forty queues and a million waiting jobs: its pages stay quick, and nothing it asks holds Redis up.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { quantile } from '../../cli/bench/measure.ts'
import { type LocalRedis, startRedis } from '../../cli/local/redis.ts'
import { allQueueNames, deliver } from '../../queues/pipeline.ts'
import { ADMIN_PASSWORD, type Client, client, openDashboard } from '../support/dashboard-client.ts'
import { testWorld, type World } from '../support/world.ts'

const SHARDS = 32
const JOBS = 1_000_000
const SLICE = 5_000
const LOOKS = 30
const SLOW_COMMAND_MS = 50

let dir: string
let redis: LocalRedis
let world: World
let opened: Awaited<ReturnType<typeof openDashboard>>
let admin: Client

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-million-'))
  redis = await startRedis({ dir, port: 0, maxmemoryMb: 4096, log: () => {}, env: process.env })
  world = await testWorld({
    redisUrl: redis.url,
    shards: SHARDS,
    dashboardPort: 0,
    secret: 'test secret',
    adminPassword: ADMIN_PASSWORD,
  })
  for (let from = 0; from < JOBS; from += SLICE)
    await world.sender.send(
      deliver,
      Array.from({ length: SLICE }, (_, i) => ({
        v: 1 as const,
        channel: 'email' as const,
        deliveryKey: `c1-s${from + i + 1}`,
        campaignId: 1,
        profileId: from + i,
        changeId: from + i + 1,
      })),
    )
  opened = await openDashboard(world)
  admin = client(opened.origin)
  await admin.logIn('admin', ADMIN_PASSWORD)
}, 300_000)
afterAll(async () => {
  await opened?.dashboard.stop()
  await world?.close()
  await redis?.stop()
  await rm(dir, { recursive: true, force: true })
}, 120_000)

test('with 40 queues and a million jobs every page is there within a second, and no command takes Redis 50 ms', async () => {
  const { producer } = world
  expect(allQueueNames(SHARDS)).toHaveLength(40)
  expect(await producer.llen(`{${world.namespace}-deliver-email}:deliver-email:wait`)).toBe(JOBS)
  await producer.config('SET', 'slowlog-log-slower-than', SLOW_COMMAND_MS * 1000)
  await producer.slowlog('RESET')
  const api = '/admin/queues/api/queues'
  const pages: Record<string, string> = {
    'all queues': api,
    'the newest of the full one': `${api}?activeQueue=deliver-email&status=latest&page=1&jobsPerPage=10`,
    'its waiting jobs': `${api}?activeQueue=deliver-email&status=waiting&page=1&jobsPerPage=10`,
    'deep in the middle of them': `${api}?activeQueue=deliver-email&status=waiting&page=50000&jobsPerPage=10`,
    'a job found by its id': '/search?q=de-c1-s999999-email',
  }
  const p95: Record<string, number> = {}
  for (const [name, path] of Object.entries(pages)) {
    const times: number[] = []
    for (let look = 0; look < LOOKS; look++) {
      const startedAt = performance.now()
      const { status, text } = await admin.get(
        path,
        path.startsWith(api) ? { accept: 'application/json' } : {},
      )
      times.push(performance.now() - startedAt)
      expect(status, name).toBe(200)
      expect(text, name).toContain(name === 'all queues' ? '"deliver-email"' : 'de-c1-s')
    }
    p95[name] = Math.round(quantile(times, 0.95))
  }
  const slow = await producer.slowlog('GET', 10)
  console.log('Page p95 with a million waiting jobs, ms', p95, 'slow commands', slow)
  expect(slow).toEqual([])
  // Looking for a job is bounded by its own second.
  const { 'a job found by its id': _search, ...ofBoard } = p95
  expect(Object.entries(ofBoard).filter(([, ms]) => ms >= 1000)).toEqual([])
})
