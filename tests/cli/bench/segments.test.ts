// `millrace bench segments` on a few people: all figures are there with their size, the engine and the hand-written statement
// agree, and a member that only one of them has ends the run.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { compareMembers } from '../../../cli/bench/segments/recompute.ts'
import { goLive } from '../../../cli/bench/segments/world.ts'
import { runMillrace } from '../../support/cli.ts'
import { testWorld } from '../../support/world.ts'

const dir = mkdtempSync(join(tmpdir(), 'millrace-test-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

test('a small run prints and writes every figure and its size, and finds the members of the statement', async () => {
  const file = join(dir, 'figures.json')
  const args = ['bench', 'segments', '--users', '1000', '--json', file]
  const { code, out, err } = await runMillrace(args, { ...process.env })
  expect({ code, err }, out).toEqual({ code: 0, err: '' })
  const { users, events, incrementalProfileRulesPerMinute, ...figures } = JSON.parse(
    readFileSync(file, 'utf8'),
  )
  expect({ users, events }).toEqual({ users: 1000, events: 6000 })
  expect(out.match(/1,000 people, 6,000 events/g)).toHaveLength(2)
  expect(Object.keys(figures)).toEqual([
    'fullProfileRulesPerMinute',
    'fullRatioToHandSql',
    'buildProfileRulesPerMinute',
    'buildRatioToHandSql',
    'membershipP50Ms',
    'membershipP99Ms',
    'exitLatenessP99Ms',
    'readP99Ms',
    'redisBytesPerUser',
  ])
  expect(Object.keys(incrementalProfileRulesPerMinute)).toEqual(['1', '20', '200'])
  for (const [name, value] of Object.entries({ ...figures, ...incrementalProfileRulesPerMinute }))
    expect(value, `${name}\n${out}`).toBeGreaterThan(0)
  const members = /20 segments, ([\d,]+) members/.exec(out)?.[1] ?? '0'
  expect(Number(members.replaceAll(',', ''))).toBeGreaterThan(500)
}, 240_000)

test('a member that only one side has ends the segment benchmark', async () => {
  const world = await testWorld()
  try {
    const { sql } = world
    const rule = { match: { k: 'trait', path: 'plan', op: 'eq', value: 'gold' } }
    const [segmentId = 0] = await goLive(world, [{ slug: 'gold', rule }])
    await sql`create table bench_members (segment_id integer, profile_id bigint)`
    await sql`
      insert into memberships (bucket, segment_id, profile_id, entered_at, version, change_id)
      values (1, ${segmentId}, 1025, now(), 1, 1)`
    const said: string[] = []
    const compare = () =>
      compareMembers({ sql, say: (text: string) => void said.push(text) }, [{ slug: 'gold' }])
    await expect(compare()).rejects.toThrow('different members')
    expect(said).toEqual(['gold: the engine has 1 members, the statement 0; 1 differ'])
    await sql`insert into bench_members values (${segmentId}, 1025)`
    expect(await compare()).toBe(1)
    await sql`insert into bench_members values (${segmentId}, 2049)`
    await expect(compare()).rejects.toThrow('different members')
  } finally {
    await world.close()
  }
})

test('too few people, and options of the other benchmark, are refused', async () => {
  for (const args of [['--users', '10'], ['--full'], ['--users']]) {
    const { code } = await runMillrace(['bench', 'segments', ...args], {})
    expect(code, args.join(' ')).toBe(2)
  }
})
