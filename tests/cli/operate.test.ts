// status, pause, resume, keys and tail on a deployment with real servers.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { recordVerdicts } from '../../cache/live-feed.ts'
import { removeRunState, writeRunState } from '../../cli/run-state.ts'
import { hashKey } from '../../domain/keys.ts'
import { persist } from '../../queues/pipeline.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { startProbes } from '../../runtime/probes.ts'
import { findKey } from '../../store/keys.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { type CliWorld, cliWorld } from '../support/cli.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'

let cli: CliWorld
beforeAll(async () => {
  cli = await cliWorld()
})
afterAll(() => cli.close())

async function statusOf(pool: string, ...flags: string[]) {
  const { code, out } = await cli.millrace('status', '--json', ...flags)
  expect(code).toBe(0)
  const rows: { pool: string }[] = JSON.parse(out).pools
  return rows.find((row) => row.pool === pool)
}

test('status shows what waits, who works and what is paused', async () => {
  await cli.world.sender.send(persist, [normalBatch([normalEvent({ userId: 'u1' })])])
  expect(await statusOf('persist')).toMatchObject({
    waiting: 1,
    processes: 0,
    paused: 0,
    oldestAgeMs: expect.any(Number),
  })
  const { out } = await cli.millrace('status')
  expect(out).toMatch(/^POOL +PROCESSES +WAITING/)
  expect(out).toMatch(/^persist +0 +1 .*no worker$/m)
  expect(out).toMatch(/^segment \(4 queues\) /m)
  const all = await cli.millrace('status', '--all')
  expect(all.out).toMatch(/^segment-03 /m)
  const pool = await cli.world.run(persistPool)
  expect(await statusOf('persist')).toMatchObject({ waiting: 0, processes: 1 })
  await pool.stop()
})

test('status asks a local collector for its own count, and does without one that is away', async () => {
  const metrics = createMetrics()
  metrics.events.inc({ stage: 'collector', verdict: 'accepted' }, 5)
  const probes = await startProbes({
    host: '127.0.0.1',
    port: 0,
    log: cli.world.log,
    metrics,
    isReady: () => true,
    isAlive: () => true,
  })
  const note = {
    pid: process.pid,
    databaseUrl: '',
    redisUrl: '',
    httpUrl: 'http://here',
    dashboardUrl: '',
    outboxUrl: '',
  }
  const at = [{ pools: ['collector', 'api'], url: probes.url }]
  writeRunState(cli.world.config.dataDir, { ...note, metrics: at, env: {} })
  const { out } = await cli.millrace('status')
  expect(out).toMatch(/^collector +1 .*running$/m)
  expect(out).toContain('collector and API at http://here')
  await probes.stop()
  expect(JSON.parse((await cli.millrace('status', '--json')).out)).toMatchObject({ collector: null })
  removeRunState(cli.world.config.dataDir)
})

test('a pool is paused and resumed as a whole, a queue alone', async () => {
  expect(await cli.millrace('pause', 'segment', 'deliver-email')).toEqual({
    code: 0,
    out: 'paused segment (4 queues)\npaused deliver-email\n',
    err: '',
  })
  expect(await statusOf('segment')).toMatchObject({ paused: 4 })
  expect(await statusOf('deliver-email')).toMatchObject({ paused: 1 })
  await cli.millrace('resume', 'segment-02')
  expect(await statusOf('segment')).toMatchObject({ paused: 3 })
  await cli.millrace('resume', 'segment', 'deliver-email')
  expect(await statusOf('segment')).toMatchObject({ paused: 0 })
  const audited =
    await cli.sql`select action, target from audit_log where actor = 'cli' order by audit_id limit 2`
  expect(audited).toEqual([
    { action: 'queue.pause', target: 'segment' },
    { action: 'queue.pause', target: 'deliver-email' },
  ])
})

test('nothing is paused when one of the names is wrong', async () => {
  const { code, err } = await cli.millrace('pause', 'ingest', 'delivr-email')
  expect(code).toBe(2)
  expect(err).toContain('did you mean deliver-email?')
  expect(await statusOf('ingest')).toMatchObject({ paused: 0 })
})

test('a key is made, shown once, listed without its text, and revoked', async () => {
  const made = await cli.millrace(
    'keys',
    'create',
    '--source',
    'web',
    '--origins',
    'https://a.example',
    '--rate',
    '50',
  )
  expect(made.code).toBe(0)
  const key = made.out.trim()
  expect(key).toMatch(/^mk_pub_/)
  const secret = await cli.millrace('keys', 'create', '--secret', '--name', 'reports', '--json')
  expect(JSON.parse(secret.out)).toMatchObject({ kind: 'sec', key: expect.stringMatching(/^mk_sec_/) })
  expect(await findKey(cli.sql, hashKey(key))).toMatchObject({
    allowedOrigins: ['https://a.example'],
    rateLimitPerSecond: 50,
  })
  const listed = await cli.millrace('keys')
  expect(listed.out).toMatch(/1 +write +web +- +mk_pub_….... +https:\/\/a\.example 50\/s +never +active/)
  expect(listed.out).not.toContain(key)
  expect(await cli.millrace('keys', 'revoke', '1')).toMatchObject({ code: 0 })
  expect(await cli.millrace('keys', 'revoke', '1')).toMatchObject({
    code: 1,
    err: expect.stringContaining('no key 1'),
  })
  expect(await findKey(cli.sql, hashKey(key))).toBeUndefined()
})

test('tail shows the verdicts of a source with the reason of a refusal', async () => {
  const at = Date.UTC(2026, 10, 21, 12)
  await recordVerdicts(
    cli.world.cache,
    new Map([
      [
        1,
        [
          { at, verdict: 'accepted', type: 'track', name: 'Order Completed', messageId: 'm-1', user: 'us…' },
          {
            at: at + 1,
            verdict: 'refused',
            type: 'track',
            code: 'invalid_event',
            field: 'event',
            reason: 'is missing',
          },
        ],
      ],
    ]),
  )
  const shown = await cli.millrace('tail', 'web', '--once')
  expect(shown.out.split('\n')[0]).toMatch(
    /^12:00:00\.000 {2}accepted {2}web {2}track Order Completed {2}us… {2}m-1$/,
  )
  expect(shown.out.split('\n')[1]).toContain('invalid_event: event: is missing')
  const last = await cli.millrace('tail', '--once', '--lines', '1', '--json')
  expect(JSON.parse(last.out)).toMatchObject({ source: 'web', verdict: 'refused', field: 'event' })
  expect(await cli.millrace('tail', 'wbe', '--once')).toMatchObject({
    code: 1,
    err: expect.stringContaining('did you mean web?'),
  })
})
