// millrace segments changes, difference and preview --exact, against the API with real servers and the real pools.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jobsInFlow } from '../../../cli/demo/counts.ts'
import { segmentPool } from '../../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../../support/api-server.ts'
import { runMillrace } from '../../support/cli.ts'
import { normalEvent } from '../../support/factory.ts'
import { DAY, seedPeople } from '../../support/seed-people.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

const CROWD = 120
const dir = mkdtempSync(join(tmpdir(), 'millrace-history-'))
const viewed = (value: number) => ({
  ...{ k: 'agg', event: 'Viewed', agg: 'count', window: { k: 'lifetime' }, op: 'gte', value },
})
const fileOf = (name: string, content: unknown) => {
  const file = join(dir, name)
  writeFileSync(file, JSON.stringify(content))
  return file
}

let world: World
let api: ApiServer
let env: Record<string, string>
let before: string

const millrace = (...args: string[]) => runMillrace(['segments', ...args], env)
const jsonLines = (out: string) =>
  out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
const isLive = (slug: string) =>
  waitFor(async () => (await api.get(`/api/v1/segments/${slug}`)).body.state === 'live')

beforeAll(async () => {
  world = await testWorld()
  const crowd = Array.from({ length: CROWD }, (_, i) =>
    Array.from({ length: 1 + (i % 3) }, (_, n) =>
      normalEvent({ userId: `crowd-${String(i).padStart(3, '0')}`, name: 'Viewed', time: DAY + n }),
    ),
  )
  await seedPeople(world, crowd.flat())
  await world.run(segmentPool)
  await waitFor(async () => (await jobsInFlow(world.producer, world.config)) === 0, { what: 'empty queues' })
  api = await startApi(world)
  env = { MILLRACE_API_URL: api.url, MILLRACE_API_KEY: api.key, MILLRACE_DATA_DIR: world.config.dataDir }
  before = new Date(Date.now() - 1000).toISOString()
  await millrace('create', 'viewers', '--rule', fileOf('two.json', viewed(2)))
  await isLive('viewers')
  await millrace('edit', 'viewers', '--rule', fileOf('three.json', viewed(3)))
  await isLive('viewers')
}, 60_000)
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('the entries and exits of a segment are listed without naming anybody', async () => {
  const { out } = await millrace('changes', 'viewers', '--limit', '5')
  expect(out).toMatch(/^HAPPENED AT +REASON +VERSION +NOTICED AT +PROFILE +USER\n/)
  expect(out).toMatch(/ exit +rule_changed +2 .* crowd-\d+\n/)
  expect(out).toContain('These are the newest 5: --limit N shows more, --json all.\n')
  const all = jsonLines((await millrace('changes', 'viewers', '--json')).out)
  expect(all.map((row) => `${row.op} ${row.reason}`)).toEqual([
    ...Array.from({ length: 40 }, () => 'exit rule_changed'),
    ...Array.from({ length: 80 }, () => 'enter backfill'),
  ])
  expect(all[0].metrics[0]).toMatchObject({ value: '2', op: 'gte', threshold: '3', holds: false })
  const exits = jsonLines((await millrace('changes', 'viewers', '--op', 'exit', '--json')).out)
  expect(exits).toEqual(all.slice(0, 40))
  expect((await millrace('changes', 'viewers', '--to', before)).out).toBe('No entry and no exit.\n')
  expect((await millrace('changes', 'veiwers')).err).toContain('did you mean viewers?')
  const mixed = await millrace('changes', 'viewers', '--user', 'crowd-001', '--op', 'exit')
  expect([mixed.code, mixed.err]).toEqual([2, expect.stringContaining('are of a segment, not of a --user')])
})

test('the difference of two dates and of two versions is counted, and its people are listed', async () => {
  const dates = await millrace('difference', 'viewers', '--from', before)
  expect(dates.out).toMatch(
    /^viewers, from \S+Z to \S+Z, as known then:\n\+40 entered, -0 left, 0 stayed\.\nWho: millrace segments difference viewers --from \S+ --to \S+ --people\n$/,
  )
  const versions = await millrace('difference', 'viewers', '--from', '1', '--to', '2')
  expect(versions.out).toContain(
    'from version 1 to version 2, by the data of now:\n+0 entered, -40 left, 40 stayed.',
  )
  const json = JSON.parse((await millrace('difference', 'viewers', '--from', '2', '--to', '1', '--json')).out)
  expect(json).toMatchObject({ entered: 40, left: 0, stayed: 40, complete: true, known: 'now' })
  const who = await millrace('difference', 'viewers', '--from', '1', '--people', '--limit', '3')
  expect(who.out).toMatch(/^(- +\d+ {2}crowd-\d+\n){3}$/)
  const all = jsonLines((await millrace('difference', 'viewers', '--from', '1', '--people', '--json')).out)
  expect(new Set(all.map((row) => row.userId)).size).toBe(40)
  const none = await millrace('difference', 'viewers', '--from', '1', '--people', '--op', 'enter')
  expect(none.out).toBe('Nobody.\n')
  const now = await millrace('difference', 'viewers', '--from', '2026-11-19T00:00:00Z', '--known', 'now')
  expect(now.out).toContain('as known now:\n+40 entered, -0 left, 0 stayed.')
  expect((await millrace('difference', 'viewers', '--from', '2026-11-19')).err).toContain(
    '--from must be an instant with its zone',
  )
})

test('who was in at a date is listed as it is known now, though nobody had entered then', async () => {
  const early = ['members', 'viewers', '--at', new Date(DAY + 1).toISOString()]
  expect((await millrace(...early)).out).toBe('Nobody.\n')
  const at = new Date(DAY + 2).toISOString()
  const rows = jsonLines((await millrace('members', 'viewers', '--at', at, '--json')).out)
  expect(rows).toHaveLength(40)
  expect(new Set(rows.map((row) => row.enteredAt))).toEqual(new Set([at]))
  expect((await millrace('members', 'viewers', '--known-at', at)).out).toBe('Nobody.\n')
})

test('an exact preview goes on until everybody was looked at, with a bar and the interval below it', async () => {
  // Each look at the clock is a second later: every request makes one step.
  let now = Date.now()
  const slow = await startApi(world, { clock: { now: () => (now += 1000) } })
  const at = { ...env, MILLRACE_API_URL: slow.url, MILLRACE_API_KEY: slow.key }
  const args = ['segments', 'preview', '--exact', '--rule', fileOf('one.json', viewed(1))]
  const live = await runMillrace(args, at, { isTerminal: true })
  expect(live.code).toBe(0)
  expect(live.out).toMatch(/per cent +░+ +0 of 100/)
  expect(live.out).toMatch(/about [\d,]+ profiles? fit, [\d,]+ to [\d,]+ with 95 % certainty/)
  expect(live.out).toMatch(/per cent +█+ +100 of 100 .*done/)
  expect(live.out).toMatch(/\n120 of \d+ profiles fit: exact, in [\d.]+ s\n$/)
  const quiet = await runMillrace([...args, '--json'], at)
  expect(JSON.parse(quiet.out)).toMatchObject({ members: CROWD, complete: true, nextCursor: null })
  const short = await runMillrace(
    ['segments', 'preview', '--seconds', '1', '--json', '--rule', join(dir, 'one.json')],
    at,
  )
  expect(JSON.parse(short.out)).toMatchObject({ complete: false, nextCursor: expect.any(String) })
  await slow.close()
})
