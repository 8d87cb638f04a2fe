// millrace segments against the API of a deployment with real servers and the real pools.
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { jobsInFlow } from '../../../cli/demo/counts.ts'
import { removeRunState, writeRunState } from '../../../cli/run-state.ts'
import { segmentPool } from '../../../workers/segment/pool.ts'
import { type ApiServer, startApi } from '../../support/api-server.ts'
import { runMillrace } from '../../support/cli.ts'
import { normalEvent } from '../../support/factory.ts'
import { DAY, seedPeople } from '../../support/seed-people.ts'
import { waitFor } from '../../support/wait-for.ts'
import { testWorld, type World } from '../../support/world.ts'

const CROWD = 620
const dir = mkdtempSync(join(tmpdir(), 'millrace-segments-'))
const fileOf = (name: string, content: unknown) => {
  const file = join(dir, name)
  writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content))
  return file
}
const viewed = (value: number) => ({
  ...{ k: 'agg', event: 'Viewed', agg: 'count', window: { k: 'lifetime' }, op: 'gte', value },
})

let world: World
let api: ApiServer
let env: Record<string, string>

const millrace = (...args: string[]) => runMillrace(['segments', ...args], env)
const sizeOf = async (slug: string) => JSON.parse((await millrace('show', slug, '--json')).out).size
const isSettled = (slug: string, size: number) =>
  waitFor(async () => (await sizeOf(slug)) === size, { what: `${size} members of ${slug}` })
const jsonLines = (out: string) =>
  out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))

beforeAll(async () => {
  world = await testWorld()
  const crowd = Array.from({ length: CROWD }, (_, i) =>
    normalEvent({ userId: `crowd-${String(i).padStart(3, '0')}`, name: 'Viewed', time: DAY + i }),
  )
  const again = normalEvent({ userId: 'crowd-000', name: 'Viewed', time: DAY + CROWD })
  await seedPeople(world, [...crowd, again])
  await world.run(segmentPool)
  await waitFor(async () => (await jobsInFlow(world.producer, world.config)) === 0, { what: 'empty queues' })
  api = await startApi(world)
  env = { MILLRACE_API_URL: api.url, MILLRACE_API_KEY: api.key, MILLRACE_DATA_DIR: world.config.dataDir }
})
afterAll(async () => {
  await api?.close()
  await world?.close()
})

test('a rule is tried, made a segment, looked at and given another rule', async () => {
  const empty = await millrace()
  expect(empty).toMatchObject({ code: 0, out: expect.stringContaining('There is no segment yet') })
  const all = fileOf('all.json', { match: viewed(1) })
  expect((await millrace('preview', '--rule', all)).out).toMatch(
    new RegExp(`^${CROWD} of \\d+ profiles fit: exact, in [\\d.]+ m?s\\n$`),
  )
  const made = await millrace('create', 'viewers', '--name', 'People who looked', '--rule', all)
  expect(made).toMatchObject({ code: 0, err: '' })
  expect(made.out).toMatch(/^viewers is live\. Everybody is looked at again: millrace segments show viewers/)
  await isSettled('viewers', CROWD)
  await waitFor(async () => (await millrace('show', 'viewers')).out.includes('State     live\n'))
  expect((await millrace()).out).toMatch(
    /^SLUG +MEMBERS +VERSION .*\nviewers +620 +1 .* People who looked\n$/,
  )
  expect(jsonLines((await millrace('list', '--json')).out)).toMatchObject([{ slug: 'viewers', size: CROWD }])

  const shown = await millrace('show', 'viewers')
  expect(shown.out).toMatch(/^State +live$/m)
  expect(shown.out).toMatch(/^Members +620$/m)
  expect(shown.out).toMatch(/^Version +1$/m)
  expect(shown.out).toContain('\n  number of Viewed ever: at least 1\n')
  const rule = (await millrace('show', 'viewers', '--rule-only')).out
  expect(
    await runMillrace(['segments', 'edit', 'viewers', '--rule', '-'], env, { input: rule }),
  ).toMatchObject({
    out: 'viewers has this rule already: nothing was changed.\n',
  })
  const edited = await millrace(
    'edit',
    'viewers',
    '--rule',
    fileOf('two.json', viewed(2)),
    '--note',
    'only again',
  )
  expect(edited.out).toMatch(/^Version 2 of viewers is live\. Everybody is looked at again: /)
  await isSettled('viewers', 1)
  const notes = await world.sql`select note from segment_versions order by version`
  expect(notes.map((row) => row.note)).toEqual(['', 'only again'])
})

test('a mistake in a rule is told with its path and what was perhaps meant, and one in the JSON with its place', async () => {
  const wrong = fileOf('wrong.json', { k: 'any', of: [viewed(1), { ...viewed(1), op: 'gts' }] })
  for (const args of [['preview'], ['create', 'wrong'], ['edit', 'viewers']]) {
    const { code, out, err } = await millrace(...args, '--rule', wrong)
    expect([code, out]).toEqual([1, ''])
    expect(err).toMatch(
      /^millrace segments: invalid_rule: rule\.match\.of\[1\]\.op expected .*did you mean "gt"\?\n$/,
    )
  }
  const broken = await millrace('create', 'x', '--rule', fileOf('broken.json', '{"match": }'))
  expect(broken.err).toMatch(/broken\.json is no JSON: Unexpected token/)
  expect((await millrace('create', 'x', '--rule', join(dir, 'none.json'))).err).toContain(
    'there is no such file',
  )
})

test('what the API refuses comes with its code, its field and the mend', async () => {
  const all = fileOf('again.json', viewed(1))
  const taken = await millrace('create', 'viewers', '--rule', all)
  expect(taken.code).toBe(1)
  expect(taken.err).toContain(
    'conflict: there is or was a segment of this slug; millrace segments edit viewers',
  )
  const badSlug = await millrace('create', 'No Spaces', '--rule', all)
  expect(badSlug.code).toBe(2)
  expect(badSlug.err).toContain('invalid_request: body.slug must match')
  expect((await millrace('show', 'veiwers')).err).toContain('not_found: there is no segment of this slug')
  expect((await millrace('members', 'veiwers')).err).toContain('did you mean viewers?')
  expect((await millrace('show', 'xyzzy')).err).toContain('; millrace segments lists them')
  expect((await millrace('user', 'nobody')).err).toContain('there is no user with this id')
  const stranger = await runMillrace(['segments'], { ...env, MILLRACE_API_KEY: 'mk_sec_x' })
  expect(stranger.code).toBe(1)
  expect(stranger.err).toContain('unauthorized: the key is mistyped')
  expect(stranger.err).toContain('millrace keys create --secret makes')
})

test('somebody is explained to be in or not, by user id and by profile number, now and at another instant', async () => {
  const seen = fileOf('seen.json', {
    k: 'all',
    of: [viewed(2), { k: 'not', of: { k: 'list', list: 'staff' } }],
  })
  await api.call('PUT', '/api/v1/lists/staff', { csv: 'user_id\n' })
  await millrace('create', 'loyal', '--rule', seen)
  await isSettled('loyal', 1)
  const { out } = await millrace('explain', 'loyal', 'crowd-000')
  expect(out).toBe(
    [
      'crowd-000 is in loyal (version 1), and stays until something happens.',
      '',
      '✓ all of these',
      '  ✓ number of Viewed ever: at least 2',
      `      found 2, newest ${new Date(DAY + CROWD).toISOString()}`,
      '  ✓ not this',
      '    ✗ on the list staff',
      '',
    ].join('\n'),
  )
  const before = await millrace('explain', 'loyal', 'crowd-000', '--at', new Date(DAY + 1).toISOString())
  const flips = new Date(DAY + CROWD).toISOString()
  expect(before.out).toContain(
    `crowd-000 is not in loyal (version 1), and enters at ${flips} if nothing happens`,
  )
  expect(before.out).toContain(`number of Viewed ever: at least 2  until ${flips}\n      found 1, newest`)
  expect(before.out).toContain('; 1 missing\n')
  const id = jsonLines((await millrace('members', 'loyal', '--json')).out)[0].profileId
  expect((await millrace('explain', 'loyal', String(id), '--profile')).out).toContain(`${id} is in loyal`)
  expect(JSON.parse((await millrace('explain', 'loyal', 'crowd-001', '--json')).out)).toMatchObject({
    segment: 'loyal',
    holds: false,
    conditions: [{ value: '1', missing: '1' }, { k: 'list' }],
  })
})

test('all members are listed over several pages, as of now and as was known at a date', async () => {
  const early = new Date(Date.now() - 60_000).toISOString()
  await millrace('create', 'crowd', '--rule', fileOf('crowd.json', viewed(1)))
  await isSettled('crowd', CROWD)
  const then = new Date().toISOString()
  const few = await millrace('members', 'crowd', '--limit', '2')
  expect(few.out.split('\n')).toHaveLength(5)
  expect(few.out).toMatch(/^ +PROFILE {2}ENTERED AT +USER\n +\d+ {2}20\S+Z {2}crowd-\d+\n/)
  expect(few.out).toContain('These are the first 2 of 620: --limit N shows more')
  expect((await millrace('members', 'crowd')).out.split('\n')).toHaveLength(53)
  const all = jsonLines((await millrace('members', 'crowd', '--json')).out)
  expect(new Set(all.map((row) => row.userId)).size).toBe(CROWD)
  expect(jsonLines((await millrace('members', 'crowd', '--json', '--limit', '510')).out)).toEqual(
    all.slice(0, 510),
  )
  expect((await millrace('members', 'crowd', '--known-at', early)).out).toBe('Nobody.\n')

  const file = join(dir, 'members.csv')
  expect((await millrace('members', 'crowd', '--csv', file)).out).toBe(`620 members in ${file}\n`)
  const csv = readFileSync(file, 'utf8')
  const rows = all.map((row) => `${row.profileId},"${row.userId}",${row.enteredAt}\r\n`)
  expect(csv).toBe(`profile_id,user_id,entered_at\r\n${rows.join('')}`)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect((await millrace('members', 'crowd', '--csv', '-')).out).toBe(csv)
  expect((await millrace('members', 'crowd', '--csv', '-', '--known-at', then)).out).toBe(csv)
})

test('an export that fails leaves the file that was there, and nothing half', async () => {
  const file = fileOf('kept.csv', 'as it was')
  const { code, err } = await millrace('members', 'nobody-here', '--csv', file)
  expect([code, err]).toEqual([1, expect.stringContaining('not_found')])
  expect((await millrace('members', 'crowd', '--csv', join(dir, 'no', 'such.csv'))).err).toContain('ENOENT')
  expect(readFileSync(file, 'utf8')).toBe('as it was')
  expect(readdirSync(dir).filter((name) => name.includes('unfinished'))).toEqual([])
})

test('in a terminal a preview and an export show how far they are, and end with the same line', async () => {
  const rule = fileOf('live.json', viewed(1))
  const live = await runMillrace(['segments', 'preview', '--rule', rule], env, { isTerminal: true })
  expect(live.out.split('\r').at(-1)).toMatch(/620 of \d+ profiles fit: exact, in [\d.]+ m?s\n$/)
  const file = join(dir, 'bar.csv')
  const bar = await runMillrace(['segments', 'members', 'crowd', '--csv', file], env, { isTerminal: true })
  expect(bar.out).toMatch(/members +█+ +620 of 620 .*done/)
  expect(bar.out.endsWith(`620 members in ${file}\n`)).toBe(true)
})

test('in a terminal an estimate is shown with its interval until it has become exact', async () => {
  // Each look at the clock is 200 ms later: the first budget is over after a part of the people.
  let now = Date.now()
  const slow = await startApi(world, { clock: { now: () => (now += 200) } })
  const at = { ...env, MILLRACE_API_URL: slow.url, MILLRACE_API_KEY: slow.key }
  const args = ['segments', 'preview', '--rule', fileOf('slow.json', viewed(1))]
  const live = await runMillrace(args, at, { isTerminal: true })
  const lines = live.out.split(`\r${String.fromCharCode(27)}[2K`)
  expect(lines.length).toBeGreaterThan(2)
  for (const line of lines.slice(1, -1))
    expect(line).toMatch(
      /^about [\d,]+ profiles? fit, [\d,]+ to [\d,]+ with 95 % certainty: [\d,]+ looked at in .* …$/,
    )
  expect(lines.at(-1)).toMatch(/^620 of \d+ profiles fit: exact, in [\d.]+ s\n$/)
  await slow.close()
})

test('the entries and exits of one person are listed, of all segments or of one, and what they are in', async () => {
  const person = ['changes', '--user', 'crowd-001']
  const changes = await millrace(...person)
  expect(changes.out).toMatch(/^HAPPENED AT +SEGMENT +REASON +VERSION +NOTICED AT\n/)
  expect(changes.out).toMatch(/ viewers +exit +rule_changed +2 /)
  const all = jsonLines((await millrace(...person, '--json')).out)
  expect(all.map((row) => [row.segment, row.op])).toEqual([
    ['crowd', 'enter'],
    ['viewers', 'exit'],
    ['viewers', 'enter'],
  ])
  expect(jsonLines((await millrace(...person, 'viewers', '--json')).out)).toEqual(all.slice(1))
  const one = await millrace(...person, 'viewers', '--limit', '1')
  expect(one.out).toContain('These are the newest 1: --limit N shows more')
  expect((await millrace(...person, 'viewers', '--limit', '2')).out).not.toContain('newest')
  expect((await millrace('user', 'crowd-001')).out).toMatch(/^SEGMENT .*\ncrowd +1 .* crowd\n$/)
  expect(jsonLines((await millrace('user', 'crowd-000', '--json')).out).map((row) => row.slug)).toEqual([
    'crowd',
    'loyal',
    'viewers',
  ])
  expect((await millrace('user', 'user-7')).out).toBe('user-7 is in no segment.\n')
})

test('archiving only counts without --yes; then everybody leaves, and a rule brings it back', async () => {
  const dry = await millrace('archive', 'crowd')
  expect(dry.out).toBe('620 members would leave crowd. Nothing was done: add --yes to do it.\n')
  expect((await millrace('show', 'crowd')).out).toMatch(/^State +live$/m)
  expect((await millrace('archive', 'crowd', '--yes')).out).toContain(
    'crowd is archived, and its 620 members',
  )
  expect((await millrace('show', 'crowd')).out).toMatch(/^State +archived since 2/m)
  expect((await millrace('archive', 'crowd', '--yes')).out).toContain('was archived before')
  await isSettled('crowd', 0)
  const back = await millrace('edit', 'crowd', '--rule', fileOf('back.json', viewed(2)), '--json')
  expect(JSON.parse(back.out)).toMatchObject({ slug: 'crowd', version: 2, archivedAt: null })
})

test('the schema is that of the API, and a running start needs no address and no key', async () => {
  const local = { MILLRACE_DATA_DIR: world.config.dataDir }
  const addresses = { databaseUrl: '', redisUrl: '', dashboardUrl: '', outboxUrl: '', metrics: [], env: {} }
  const note = { ...addresses, pid: process.pid, httpUrl: api.url }
  writeRunState(world.config.dataDir, note)
  const early = await runMillrace(['segments', 'schema'], local)
  expect([early.code, early.err]).toEqual([1, expect.stringContaining('start has not made its key yet')])
  writeRunState(world.config.dataDir, { ...note, secretKey: api.key })
  const { out } = await runMillrace(['segments', 'schema'], local)
  expect(JSON.parse(out)).toEqual((await api.get('/api/v1/rule-schema')).body)
  // Its key goes to no other address.
  const elsewhere = await runMillrace(['segments'], { ...local, MILLRACE_API_URL: api.url })
  expect([elsewhere.code, elsewhere.err]).toEqual([1, expect.stringContaining('MILLRACE_API_KEY must hold')])
  removeRunState(world.config.dataDir)
})
