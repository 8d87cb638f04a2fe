// Rules as SQL: values are parameters whatever they are, every leaf of the language is known or refused, and what random
// rules and lives do not reach is said by example.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { persist } from '../../queues/pipeline.ts'
import { type Rule, type RuleNode, RuleSchema } from '../../schema/rule.ts'
import { membersOf, membersStatement } from '../../store/segment-sql/members.ts'
import { LEAVES_IN_SQL } from '../../store/segment-sql/nodes.ts'
import { persistPool } from '../../workers/persist/pool.ts'
import { normalBatch, normalEvent } from '../support/factory.ts'
import { waitFor } from '../support/wait-for.ts'
import { testWorld, type World } from '../support/world.ts'

const NOON = Date.UTC(2026, 10, 20, 12)
let world: World
let profileId = 0
beforeAll(async () => {
  world = await testWorld()
  await world.sql`insert into sources (name) values ('shop')`
  await world.run(persistPool)
  const base = { userId: 'anna', time: NOON }
  const order = { ...base, name: 'Order Completed', currency: 'JPY', value: '500' }
  await world.sender.send(persist, [
    normalBatch([
      normalEvent({ ...base, type: 'identify', name: '', traits: { plan: 'gold' } }),
      normalEvent({ ...order, properties: '{"sku":1,"qty":0.1}' }),
      normalEvent({ ...order, properties: '{"sku":1.0,"qty":0.2}' }),
      normalEvent({ ...order, properties: '{"sku":"1"}', currency: 'EUR' }),
    ]),
  ])
  await waitFor(async () => (await world.sql`select 1 from events`).length === 4)
  const [row] = await world.sql<{ profile_id: number }[]>`select profile_id from profiles`
  profileId = row?.profile_id ?? 0
})
afterAll(() => world.close())

const places = () => ({ sql: world.sql, home: world.sql })

async function isTrue(match: RuleNode, traits: Record<string, unknown> = {}, atMs = NOON): Promise<boolean> {
  await world.sql`update profiles set traits = ${world.sql.json(traits as Record<string, never>)}`
  const input = { rule: { match }, rules: new Map(), asks: [{ profileId, atMs }] }
  return (await membersOf(places(), input)).length === 1
}

/** Leaves that no statement can say. */
const NOT_IN_SQL: string[] = ['dwell']

test('SQL knows every leaf of the language but those that are listed here', async () => {
  const schema: { $defs: { Node: { anyOf: { properties: { k: { const: string } } }[] } } } = JSON.parse(
    JSON.stringify(RuleSchema),
  )
  const tree = ['all', 'any', 'atLeast', 'not']
  const leaves = schema.$defs.Node.anyOf.map((one) => one.properties.k.const).filter((k) => !tree.includes(k))
  expect(leaves.length).toBeGreaterThan(11)
  expect(leaves.filter((one) => !LEAVES_IN_SQL.has(one)).sort()).toEqual(NOT_IN_SQL)
  const strange = { k: 'horoscope', sign: 'leo' } as unknown as RuleNode
  await expect(isTrue({ k: 'not', of: strange })).rejects.toMatchObject({ code: 'unsupported' })
})

test('nothing of a rule is text of its statement, however hostile', async () => {
  const bad = `x'; drop table events; --"\\$1`
  const where = [
    { prop: bad, op: 'eq' as const, value: bad },
    { prop: bad, op: 'anyOf' as const, value: [bad, 1, true] },
    { prop: bad, op: 'gt' as const, value: bad },
    { prop: bad, op: 'endsWith' as const, value: bad },
    { prop: bad, op: 'contains' as const, value: bad },
  ]
  const window = { k: 'calendar' as const, unit: 'week' as const, tz: { trait: bad } }
  const step = { event: bad, where, same: [bad, `${bad}2`], within: 'P1D' }
  const leaves: RuleNode[] = [
    { k: 'trait', path: bad, op: 'in', value: [bad] },
    { k: 'date', path: bad, op: 'within', value: 'P1D' },
    { k: 'anniversary', path: bad, tz: { trait: bad } },
    { k: 'geo', path: bad, countries: [bad] },
    { k: 'geo', path: bad, circle: { lat: 1, lon: 2, metres: 3 } },
    { k: 'sample', salt: bad, from: 0, to: 9 },
    { k: 'segment', segment: bad },
    { k: 'list', list: bad },
    { k: 'computed', metric: bad, op: 'eq', value: bad },
    { k: 'quantile', metric: bad, from: 0, to: 0.5 },
    { k: 'consent', category: bad, state: 'denied' },
    { k: 'message', did: 'opened', campaign: bad, window, op: 'gt', value: 1 },
    { k: 'agg', event: bad, where, agg: 'sum', prop: 'revenue', currency: bad, window, op: 'gt', value: 1 },
    { k: 'pick', event: bad, pick: 'last', prop: bad, window, op: 'startsWith', value: bad },
    { k: 'time', event: bad, where, pick: 'first', op: 'within', ago: 'P1D' },
    { k: 'absence', event: bad, where, window: { k: 'lifetime' } },
    { k: 'seq', window, steps: [{ event: bad, where }, step], none: { ...step, within: 'P2D' } },
  ]
  const rule: Rule = { match: { k: 'any', of: leaves } }
  const rules = new Map([[bad, { match: leaves[0] } as Rule]])
  const input = { rule, rules, asks: [{ profileId, atMs: NOON }] }
  const { statement } = await membersStatement(places(), input)
  const { string: text } = await statement.describe()
  expect(text.length).toBeGreaterThan(5000)
  expect(text).not.toContain('drop table')
  // What is no zone, duration or number of Postgres' is refused by it as a value.
  const zone = { ...window, tz: bad }
  const asked = isTrue({ k: 'absence', event: 'Order Completed', window: zone })
  await expect(asked).rejects.toMatchObject({ code: '22023' })
  expect(await membersOf(places(), input)).toHaveLength(1)
  expect((await world.sql`select 1 from events`).length).toBe(4)
})

test('texts are ordered as JavaScript orders them, also beyond the first plane', async () => {
  const texts = [
    '',
    'a',
    'ab',
    'Ä',
    '\uD7FF',
    '\uE000',
    '\uFFFD',
    '🎉',
    '🎉a',
    'a🎉',
    'a\uE000',
    '\u{10FFFF}',
  ]
  for (const found of texts) {
    for (const value of texts) {
      expect([found, value, await isTrue({ k: 'trait', path: 't', op: 'lt', value }, { t: found })]).toEqual([
        found,
        value,
        found < value,
      ])
    }
  }
})

test('a path is a key of that name before it is a way down', async () => {
  const at = (path: string, traits: Record<string, unknown>) =>
    isTrue({ k: 'trait', path, op: 'eq', value: 'Ulm' }, traits)
  expect(await at('address.city', { address: { city: 'Ulm' } })).toBe(true)
  expect(await at('address.city', { 'address.city': 'Bonn', address: { city: 'Ulm' } })).toBe(false)
  expect(await at('address.city', { address: 'Ulm' })).toBe(false)
})

test('instants are read to the millisecond, with any offset, and nothing else is one', async () => {
  const before = (due: unknown, value: string) =>
    isTrue({ k: 'date', path: 'due', op: 'before', value }, { due })
  const noon = '2026-11-20T12:00:00Z'
  for (const [due, is] of [
    ['2026-11-20T11:59:59.999Z', true],
    ['2026-11-20T11:59:59.9999999Z', true],
    ['2026-11-20T12:00:00.000Z', false],
    ['2026-11-20T17:29:59,999+05:30', true],
    ['2026-11-20T17:30+0530', false],
    ['2026-11-20T01:59:59-10', true],
    ['2026-11-20', true],
    ['0000-02-29', true],
    ['2026-02-30', false],
    ['2026-13-01', false],
    ['2026-11-20T24:00:00Z', false],
    ['2026-11-20T11:00:00', false],
    ['2026-11-20 11:00:00Z', false],
    [2026, false],
    [null, false],
  ] as const)
    expect([due, await before(due, noon)]).toEqual([due, is])
})

test('amounts are exact and in the minor units of their currency', async () => {
  const window = { k: 'lifetime' as const }
  const sum = { k: 'agg' as const, event: 'Order Completed', agg: 'sum' as const, window, op: 'eq' as const }
  expect(await isTrue({ ...sum, prop: 'revenue', currency: 'JPY', value: 1000 })).toBe(true)
  expect(await isTrue({ ...sum, prop: 'revenue', currency: 'EUR', value: '5.00' })).toBe(true)
  expect(await isTrue({ ...sum, prop: 'revenue', currency: 'EUR', unit: 'minor', value: 500 })).toBe(true)
  expect(await isTrue({ ...sum, prop: 'qty', value: '0.3' })).toBe(true)
  expect(await isTrue({ ...sum, agg: 'avg', prop: 'qty', value: '0.15' })).toBe(true)
  expect(await isTrue({ ...sum, agg: 'distinct', prop: 'sku', value: 2 })).toBe(true)
})

test('a zone that a trait names is known in any case, and UTC when it is none', async () => {
  const born = (zone: string, atMs: number) =>
    isTrue({ k: 'anniversary', path: 'born', tz: { trait: 'zone' } }, { born: '1990-11-20', zone }, atMs)
  const midnight = Date.UTC(2026, 10, 20)
  const HOUR = 3_600_000
  expect(await born('europe/berlin', midnight - HOUR)).toBe(true)
  expect(await born('europe/berlin', midnight - HOUR - 1)).toBe(false)
  for (const zone of ['Nowhere/Land', '+01:00', 'posix/Europe/Berlin', "x'"])
    expect([zone, await born(zone, midnight - 1), await born(zone, midnight)]).toEqual([zone, false, true])
})

test('whoever was merged away is in nothing', async () => {
  const everybody: RuleNode = { k: 'not', of: { k: 'trait', path: 'plan', op: 'eq', value: 'none' } }
  expect(await isTrue(everybody)).toBe(true)
  await world.sql`update profiles set merged_into = 1`
  expect(await isTrue(everybody)).toBe(false)
  await world.sql`update profiles set merged_into = null`
})
