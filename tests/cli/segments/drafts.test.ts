// millrace segments draft, publish, rollback, discard, versions, run, runs and schedule, with the real pools.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { segmentPool } from '../../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../../support/api-server.ts'
import { runMillrace } from '../../support/cli.ts'
import { normalEvent } from '../../support/factory.ts'
import { DAY, seedPeople } from '../../support/seed-people.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

const dir = mkdtempSync(join(tmpdir(), 'millrace-drafts-'))
const atLeast = (value: number) => {
  const file = join(dir, `${value}.json`)
  const rule = { k: 'agg', event: 'Viewed', agg: 'count', window: { k: 'lifetime' }, op: 'gte', value }
  writeFileSync(file, JSON.stringify(rule))
  return file
}

let world: World
let api: ApiServer
let env: Record<string, string>

const millrace = (...args: string[]) => runMillrace(['segments', ...args], env)
const json = async (...args: string[]) => JSON.parse((await millrace(...args, '--json')).out)
const draftIs = (text: string) =>
  waitFor(
    async () => {
      const { out } = await millrace('draft', 'fans')
      return out.includes(text) && !out.includes('Not everybody')
    },
    { what: text },
  )
const isLive = () => waitFor(async () => (await json('show', 'fans')).state === 'live', { what: 'live' })

beforeAll(async () => {
  world = await testWorld()
  // fan-0 views once, fan-1 twice, … fan-9 ten times.
  const views = Array.from({ length: 10 }, (_, i) =>
    Array.from({ length: i + 1 }, (_, n) =>
      normalEvent({ userId: `fan-${i}`, name: 'Viewed', time: DAY + n * 1000 }),
    ),
  )
  await seedPeople(world, views.flat())
  await world.run(segmentPool)
  api = await startApi(world)
  env = { MILLRACE_API_URL: api.url, MILLRACE_API_KEY: api.key, MILLRACE_DATA_DIR: world.config.dataDir }
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('an edit is tried, looked at, published and taken back', async () => {
  const made = await millrace('create', 'fans', '--rule', atLeast(4), '--draft')
  expect(made.out).toMatch(
    /^Version 1 of fans is tried on everybody, and nobody moves: millrace segments draft fans/,
  )
  await draftIs('+7 would enter, -0 leave, 0 stay')
  expect((await millrace('show', 'fans')).out).toContain('only a draft: nobody is in it')
  expect((await millrace('publish', 'fans')).out).toMatch(/^Version 1 of fans is live\. Back: /)
  await isLive()
  await millrace('edit', 'fans', '--rule', atLeast(9), '--draft', '--note', 'the most eager')
  await draftIs('+0 would enter, -5 leave, 2 stay')
  expect((await millrace('draft', 'fans')).out).toMatch(/^Version 2 of fans, by key:\d+: the most eager\n/)
  const people = (await millrace('draft', 'fans', '--people')).out.trimEnd().split('\n')
  expect(people.map((line) => line.replace(/ +\d+ +/, ' ')).sort()).toEqual([
    '- fan-3',
    '- fan-4',
    '- fan-5',
    '- fan-6',
    '- fan-7',
  ])
  await millrace('publish', 'fans')
  await isLive()
  expect((await json('show', 'fans')).size).toBe(2)
  expect((await millrace('rollback', 'fans')).out).toMatch(/^Version 1 of fans is live again\./)
  await isLive()
  expect((await json('show', 'fans')).size).toBe(7)
  expect((await millrace('versions', 'fans')).out).toMatch(
    /^VERSION +STATE .*\n2 +retired .* the most eager *\n1 +live .*\n2 versions\.\n$/,
  )
})

test('what cannot be published or taken back is refused with why', async () => {
  const none = await millrace('publish', 'fans')
  expect([none.code, none.err]).toEqual([1, expect.stringContaining('there is no draft to publish')])
  expect((await millrace('discard', 'fans')).out).toBe('fans has no draft any more.\n')
  const back = await millrace('rollback', 'fans')
  expect([back.code, back.err]).toEqual([1, expect.stringContaining('not kept any more')])
  expect((await millrace('publish', 'fan')).err).toContain('did you mean fans?')
})

test('a run is followed to its end, listed, and set by a schedule', async () => {
  const ran = await millrace('run', 'fans')
  expect(ran.out).toMatch(/\d+ profiles looked at in .+: 0 entered, 0 left\.\n$/)
  const { out } = await millrace('runs', 'fans', '--limit', '2')
  expect(out.trimEnd().split('\n')).toHaveLength(3)
  expect(out).toMatch(/^ *RUN +VERSION +REASON +STATE .*\n *\d+ +1 +backfill +done /)
  const set = await millrace('schedule', 'fans', '0 6 * * *', '--time-zone', 'Europe/Berlin')
  expect(set.out).toBe('fans is run at 0 6 * * * in Europe/Berlin.\n')
  expect((await millrace('show', 'fans')).out).toContain('0 6 * * * in Europe/Berlin')
  const wrong = await millrace('schedule', 'fans', '* * * * *')
  expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('less than 15 minutes')])
  expect((await millrace('schedule', 'fans')).out).toBe('fans has no schedule any more.\n')
})

test('the passes of the pool are listed with what each found, of all shards or of one', async () => {
  const { out } = await millrace('passes')
  expect(out).toMatch(
    /^AT +SHARDS +REASONS +PROFILES +SEGMENTS +DECIDED +LEFT OUT +ENTERED +LEFT +TOOK +LAG\n/,
  )
  expect(out.trimEnd().split('\n').length).toBeLessThanOrEqual(21)
  const rows = async (...args: string[]) =>
    (await millrace('passes', '--json', '--limit', '500', ...args)).out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  const all = await rows()
  const ofRuns = all.filter((one) => one.lagMs === null)
  expect(ofRuns.reduce((total, one) => total + one.entered, 0)).toBe(7 + 5)
  expect(ofRuns.reduce((total, one) => total + one.exited, 0)).toBe(5)
  const shard = all[0].shards[0]
  expect(await rows('--shard', String(shard))).toEqual(all.filter((one) => one.shards.includes(shard)))
  expect((await millrace('passes', '--shard', 'two')).code).toBe(2)
})
