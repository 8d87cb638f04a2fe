// doctor says in plain words what is wrong and how to mend it; migrate and reset do what they say.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { checkDisk, checkNode } from '../../cli/doctor/machine.ts'
import { checkSkew } from '../../cli/doctor/stores.ts'
import { writeRunState } from '../../cli/run-state.ts'
import { ensureShardMap } from '../../store/shard-map.ts'
import { type CliWorld, cliWorld, runMillrace } from '../support/cli.ts'
import { setFsync } from '../support/servers.ts'

let cli: CliWorld
beforeAll(async () => {
  // Only here anybody looks whether it is.
  await setFsync(inject('postgresUrl'), 'on')
  cli = await cliWorld()
})
afterAll(async () => {
  await setFsync(inject('postgresUrl'), 'off')
  await cli.close()
})

const doctor = (env: NodeJS.ProcessEnv = {}) => runMillrace(['doctor'], { ...cli.env, ...env })

test('where nothing is wrong every line is ok and the exit code is 0', async () => {
  const { code, out } = await doctor()
  expect(out).toMatch(/^ok +postgres +Postgres 1\d\./m)
  expect(out).toMatch(/^ok +postgres settings /m)
  expect(out).toMatch(/^ok +schema +version \d+$/m)
  expect(out).toMatch(/^ok +redis +(Redis|Valkey) \d/m)
  expect(out).toMatch(/^ok +redis settings +noeviction, AOF on/m)
  expect(out).toMatch(/^ok +clock +Postgres and this machine agree/m)
  expect(out).toContain('Nothing stands in the way.')
  expect(code).toBe(0)
})

test('a taken port is named with the setting that mends it', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
  const address = server.address()
  const port = typeof address === 'object' ? String(address?.port) : ''
  const { code, out } = await doctor({ MILLRACE_HTTP_PORT: port })
  server.close()
  expect(code).toBe(1)
  expect(out).toMatch(new RegExp(`^FAIL +ports +port ${port} is taken\n +-> .*MILLRACE_HTTP_PORT`, 'm'))
})

test('servers that do not answer are told without their passwords', async () => {
  const { code, out } = await doctor({
    DATABASE_URL: 'postgres://me:pa55word@127.0.0.1:1/x',
    REDIS_URL: 'redis://:pa55word@127.0.0.1:1',
  })
  expect(code).toBe(1)
  expect(out).toMatch(/^FAIL +postgres +Postgres does not answer at 127\.0\.0\.1:1/m)
  expect(out).toMatch(/^FAIL +redis +Redis does not answer at 127\.0\.0\.1:1/m)
  expect(out).not.toContain('pa55word')
})

test('a schema that is too old, too new or missing is told, and migrate mends what it can', async () => {
  const fresh = { ...cli.env, MILLRACE_NAMESPACE: 'fresh' }
  expect((await runMillrace(['doctor'], fresh)).out).toMatch(
    /^FAIL +schema +the database has schema 0 of \d+\n +-> run millrace migrate/m,
  )
  expect(await runMillrace(['status'], fresh)).toMatchObject({
    code: 1,
    err: expect.stringContaining('run millrace migrate'),
  })
  expect((await runMillrace(['migrate'], fresh)).out).toMatch(/^Applied \d+ migrations/)
  expect((await runMillrace(['migrate'], fresh)).out).toMatch(/^The schema is up to date/)
  await cli.sql`insert into fresh.schema_migrations (version, name) values (999, 'from the future')`
  expect((await runMillrace(['doctor'], fresh)).out).toMatch(
    /^FAIL +schema +the database has schema 999.*\n +-> upgrade Millrace/m,
  )
  expect(await runMillrace(['migrate'], fresh)).toMatchObject({
    code: 1,
    err: expect.stringContaining('upgrade Millrace'),
  })
})

test('another number of shards than the stored one is told with the right one', async () => {
  await ensureShardMap(cli.sql, 4)
  const { code, out } = await doctor({ MILLRACE_SHARDS: '8' })
  expect(code).toBe(1)
  expect(out).toMatch(/^FAIL +shards .*has 4 shards.*is 8\n +-> set MILLRACE_SHARDS=4/m)
  await cli.sql`delete from shard_map`
})

test('old programs, full disks and clocks that disagree are told', () => {
  expect(checkNode('20.19.5')).toMatchObject({ state: 'fail', mend: expect.stringContaining('Node 24') })
  expect(checkNode('24.0.0')).toMatchObject({ state: 'ok' })
  expect(checkDisk(100 * 1024 ** 2, '/data')).toMatchObject({ state: 'fail' })
  expect(checkDisk(2 * 1024 ** 3, '/data')).toMatchObject({ state: 'warn' })
  expect(checkSkew('Redis', -90_000)).toMatchObject({
    state: 'fail',
    text: "the clock of Redis is 90 s behind this machine's",
  })
  expect(checkSkew('Redis', 2_500)).toMatchObject({ state: 'warn' })
  expect(checkSkew('Redis', 20)).toMatchObject({ state: 'ok' })
})

test('reset asks first, refuses while something runs, and then leaves nothing but what is not ours', async () => {
  const { world, env } = cli
  const doomed = { ...env, MILLRACE_NAMESPACE: `${world.namespace}x` }
  const reset = (...args: string[]) => runMillrace(['reset', ...args], doomed)
  await runMillrace(['migrate'], doomed)
  await world.producer.set(`${world.namespace}x:c:thing`, '1')
  await world.producer.set(`{${world.namespace}x-ingest}:ingest:id`, '1')
  await world.producer.set(`${world.namespace}:c:other`, '1')
  const dataDir = world.config.dataDir
  mkdirSync(join(dataDir, 'archive', 'dt=2026-11-21'), { recursive: true })
  writeFileSync(join(dataDir, 'mine.txt'), 'keep')

  expect(await reset()).toMatchObject({ code: 2, out: expect.stringContaining('Nothing was deleted') })
  const state = {
    databaseUrl: '',
    redisUrl: '',
    httpUrl: '',
    dashboardUrl: '',
    outboxUrl: '',
    metrics: [],
    env: {},
  }
  writeRunState(dataDir, { ...state, pid: process.pid })
  expect(await reset('--yes')).toMatchObject({ code: 1, err: expect.stringContaining('Millrace runs') })
  writeRunState(dataDir, { ...state, pid: 2 ** 22 + 1 })

  expect(await reset('--yes')).toMatchObject({ code: 0, out: expect.stringMatching(/^Deleted:/) })
  const left = await cli.sql`select to_regnamespace(${`${world.namespace}x`}) as schema`
  expect(left).toEqual([{ schema: null }])
  expect(
    await world.producer.exists(`${world.namespace}x:c:thing`, `{${world.namespace}x-ingest}:ingest:id`),
  ).toBe(0)
  expect(await world.producer.exists(`${world.namespace}:c:other`)).toBe(1)
  expect(existsSync(join(dataDir, 'archive'))).toBe(false)
  expect(existsSync(join(dataDir, 'run.json'))).toBe(false)
  expect(existsSync(join(dataDir, 'mine.txt'))).toBe(true)
  const local = { ...doomed, DATABASE_URL: '', REDIS_URL: '' }
  expect(await runMillrace(['reset', '--yes'], local)).toMatchObject({
    code: 0,
    out: expect.stringContaining('There is nothing to delete in'),
  })
})
